using Dpu.TestSupport;

namespace Dpu.Architecture.Tests;

[TestClass]
public sealed class FloorsTests
{
    private static readonly IReadOnlyList<ProjectFile> Projects = ProjectFile.All(SourceTree.OfRepository);

    private static IEnumerable<ProjectFile> Product => Projects.Where(p => !p.IsTest);

    [TestMethod]
    [TestCategory("unit")]
    public void Projects_EachReference_PointsDown() =>
        Expect.None(Floors.Designed.Violations(Product.SelectMany(p => p.References)));

    [TestMethod]
    [TestCategory("unit")]
    public void Projects_OfProduct_AreExactlyTheFloors() =>
        CollectionAssert.AreEquivalent(Floors.Designed.Assemblies.ToArray(), Product.Select(p => p.Name).ToArray());

    [TestMethod]
    [TestCategory("unit")]
    public void Projects_Each_IsInTheSolution()
    {
        string solution = File.ReadAllText(Repository.PathOf("Dpu.sln")).Replace('\\', '/');
        Expect.None(Projects.Where(p => !solution.Contains(p.Path, StringComparison.Ordinal)).Select(p => $"{p.Path} is not in Dpu.sln."));
    }

    [TestMethod]
    [TestCategory("unit")]
    public void BuiltAssemblies_EachReference_PointsDown()
    {
        Dictionary<string, string> projectOf = Projects.ToDictionary(p => p.AssemblyName, p => p.Name);
        List<string> read = [];
        foreach (BuiltAssembly assembly in BuiltAssembly.All(Product))
        {
            using (assembly)
            {
                read.Add(assembly.Project);
                Expect.None(Floors.Designed.Violations(
                    assembly.References.Where(projectOf.ContainsKey).Select(r => new Reference(assembly.Project, projectOf[r], "built assembly"))));
            }
        }

        // Built with this project always; ./dev test builds all others too.
        CollectionAssert.Contains(read, "Dpu.Linux");
    }

    [TestMethod]
    [TestCategory("unit")]
    public void BuiltAssemblies_NativeImports_AreInDpuLinuxOnly()
    {
        foreach (BuiltAssembly assembly in BuiltAssembly.All(Projects.Where(p => p.Name is not ("Dpu.Linux" or "Dpu.Linux.Tests"))))
        {
            using (assembly)
            {
                Expect.None(assembly.NativeImports.Select(m => $"{assembly.Project} has the native import {m}."));
            }
        }
    }

    [TestMethod]
    [TestCategory("unit")]
    public void NativeImports_OfTheRuntimeLibrary_AreFound()
    {
        using BuiltAssembly assembly = BuiltAssembly.Open("sample", typeof(object).Assembly.Location);
        Assert.IsNotEmpty(assembly.NativeImports);
    }

    [TestMethod]
    [TestCategory("unit")]
    [DataRow("Dpu.Linux", "Dpu.Fuse", "upwards")]
    [DataRow("Dpu.Qtfs", "Dpu.HostAgent", "upwards")]
    [DataRow("Dpu.Fuse", "Dpu.Proto", "sideways")]
    [DataRow("Dpu.Runtime", "Dpu.HostAgent", "sideways")]
    [DataRow("Dpu.Link", "Dpu.TestSupport", "no part of the product")]
    [DataRow("Dpu.Unheard", "Dpu.Linux", "no floor")]
    public void Violations_WrongReference_AreReported(string from, string to, string expected)
    {
        string[] found = [.. Floors.Designed.Violations([new(from, to, "sample")])];
        Assert.HasCount(1, found);
        StringAssert.Contains(found[0], expected, StringComparison.Ordinal);
    }

    [TestMethod]
    [TestCategory("unit")]
    public void ProjectFile_WrongReferenceInXml_IsReported()
    {
        ProjectFile project = ProjectFile.Parse(
            "qtfs-bridge/Dpu.Fuse/Dpu.Fuse.csproj",
            """<Project><ItemGroup><ProjectReference Include="..\..\host-agent\Dpu.HostAgent\Dpu.HostAgent.csproj" /></ItemGroup></Project>""");
        Assert.HasCount(1, Floors.Designed.Violations(project.References));
    }
}
