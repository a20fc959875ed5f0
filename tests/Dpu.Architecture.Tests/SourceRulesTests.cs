using Dpu.TestSupport;

namespace Dpu.Architecture.Tests;

[TestClass]
public sealed class SourceRulesTests
{
    [TestMethod]
    [TestCategory("unit")]
    public void Repository_Files_AreShort() =>
        Expect.None(SourceRules.TooLong(SourceTree.OfRepository.Files));

    [TestMethod]
    [TestCategory("unit")]
    public void Repository_NativeImports_AreInDpuLinuxOnly() =>
        Expect.None(SourceRules.NativeImports(SourceTree.OfRepository.Files));

    [TestMethod]
    [TestCategory("unit")]
    public void Repository_Files_NameNoMachine() =>
        Expect.None(SourceRules.MachineSpecific(SourceTree.OfRepository.Files, Repository.Root));

    [TestMethod]
    [TestCategory("unit")]
    public void SourceTree_OfRepository_HasCodeScriptsAndProjects()
    {
        string[] paths = [.. SourceTree.OfRepository.Files.Select(f => f.Path)];
        CollectionAssert.Contains(paths, "dev");
        CollectionAssert.Contains(paths, "qtfs-bridge/Dpu.Linux/errno.cs");
        CollectionAssert.Contains(paths, "tests/Dpu.Architecture.Tests/SourceRules.cs");
        Assert.IsFalse(paths.Any(p => p.StartsWith("artifacts/", StringComparison.Ordinal)));
    }

    [TestMethod]
    [TestCategory("unit")]
    [DataRow("a.cs", 500, 1)]
    [DataRow("a.cs", 499, 0)]
    [DataRow("a.md", 5000, 0)]
    public void TooLong_FileOfLines_ReportsCodeOnly(string path, int lines, int violations)
    {
        SourceFile file = new(path, string.Concat(Enumerable.Repeat("x\n", lines)));
        Assert.HasCount(violations, SourceRules.TooLong([file]));
    }

    [TestMethod]
    [TestCategory("unit")]
    public void TooLong_LongScriptWithoutExtension_Reports() =>
        Assert.HasCount(1, SourceRules.TooLong([new("dev", "#!/bin/sh\n" + new string('\n', 600) + "x")]));

    [TestMethod]
    [TestCategory("unit")]
    [DataRow("qtfs-bridge/Dpu.Fuse/A.cs", "    [Library" + "Import(\"libc\")]", 1)]
    [DataRow("tests/X/A.cs", "[System.Runtime.InteropServices.Dll" + "Import(\"libc\", SetLastError = true)]", 1)]
    [DataRow("qtfs-bridge/Dpu.Linux/fcntl.cs", "[Library" + "Import(\"libc\")]", 0)]
    [DataRow("tests/Dpu.Linux.Tests/Layout/A.cs", "[Dll" + "Import(\"libc\")]", 0)]
    [DataRow("qtfs-bridge/Dpu.Fuse/A.cs", "// what LibraryImport does", 0)]
    public void NativeImports_Declaration_ReportsOutsideDpuLinux(string path, string line, int violations) =>
        Assert.HasCount(violations, SourceRules.NativeImports([new(path, line)]));

    [TestMethod]
    [TestCategory("unit")]
    [DataRow("cd /wo" + "rk/repo", 1)]
    [DataRow("see https:" + "//nexus.example.internal/x", 1)]
    [DataRow("http:" + "//buildserver.lan/feed", 1)]
    [DataRow("cat /my/checkout/dev", 1)]
    [DataRow("see https://github.com/libfuse/libfuse", 0)]
    [DataRow("http://127.0.0.1:9465/metrics or http://localhost", 0)]
    [DataRow("mkdir -p \"$folder/w" + "ork/upper\"", 0)]
    public void MachineSpecific_Line_ReportsPathsAndPrivateHosts(string line, int violations) =>
        Assert.HasCount(violations, SourceRules.MachineSpecific([new("x", line)], "/my/checkout"));
}
