using Dpu.TestSupport;
using Microsoft.Extensions.Logging;

namespace Dpu.Architecture.Tests;

[TestClass]
public sealed partial class AttributeRulesTests
{
    private static readonly IReadOnlyList<ProjectFile> Projects = ProjectFile.All(SourceTree.OfRepository);

    [TestMethod]
    [TestCategory("unit")]
    public void BuiltTests_EachTest_HasOneKnownCategory()
    {
        int tests = 0;
        foreach (BuiltAssembly assembly in BuiltAssembly.All(Projects.Where(p => p.IsTest)))
        {
            using (assembly)
            {
                MethodWithAttributes[] methods = [.. assembly.Methods()];
                tests += methods.Count(m => m.Own.Any(a => a.Name == "TestMethodAttribute"));
                Expect.None(AttributeRules.TestsWithoutCategory(methods));
            }
        }

        Assert.IsGreaterThan(10, tests, "the reader found fewer tests than this very project has");
    }

    [TestMethod]
    [TestCategory("unit")]
    public void BuiltProduct_LogEventIds_AreGivenAndUnique()
    {
        List<MethodWithAttributes> methods = [];
        foreach (BuiltAssembly assembly in BuiltAssembly.All(Projects.Where(p => !p.IsTest)))
        {
            using (assembly)
            {
                methods.AddRange(assembly.Methods());
            }
        }

        Assert.IsNotEmpty(methods);
        Expect.None(AttributeRules.LogEvents(methods));
    }

    [TestMethod]
    [TestCategory("unit")]
    public void Categories_InBudgetTable_AreTheKnownOnes()
    {
        string[] budgeted =
        [
            .. File.ReadLines(Repository.PathOf("tests/README.md"))
                .Select(l => l.Split('|', StringSplitOptions.TrimEntries))
                .Where(c => c.Length > 3 && int.TryParse(c[2], out _))
                .Select(c => c[1].Trim('`')),
        ];
        CollectionAssert.AreEquivalent(AttributeRules.Categories, budgeted);
    }

    [TestMethod]
    [TestCategory("unit")]
    [DataRow("", 1)]
    [DataRow("fast", 1)]
    [DataRow("unit,root", 1)]
    [DataRow("unit", 0)]
    [DataRow("soak", 0)]
    public void TestsWithoutCategory_Sample_ReportsMissingUnknownAndSeveral(string categories, int violations)
    {
        AttributeValue[] attributes =
        [
            Attribute("TestMethodAttribute"),
            .. categories.Split(',', StringSplitOptions.RemoveEmptyEntries).Select(c => Attribute("TestCategoryAttribute", c)),
        ];
        Assert.HasCount(violations, AttributeRules.TestsWithoutCategory([new("P", "T.M", attributes, [])]));
    }

    [TestMethod]
    [TestCategory("unit")]
    public void TestsWithoutCategory_CategoryOfClass_Counts() =>
        Expect.None(AttributeRules.TestsWithoutCategory([new("P", "T.M", [Attribute("TestMethodAttribute")], [Attribute("TestCategoryAttribute", "vm")])]));

    [TestMethod]
    [TestCategory("unit")]
    public void LogEvents_OfThisAssembly_ReportsTheTwoBadSamples()
    {
        using BuiltAssembly assembly = BuiltAssembly.Open("sample", typeof(AttributeRulesTests).Assembly.Location);
        string[] found = [.. AttributeRules.LogEvents(assembly.Methods())];
        Assert.HasCount(2, found);
        Assert.IsTrue(found.Any(f => f.Contains("has event id 9001 of", StringComparison.Ordinal)), string.Join('\n', found));
        Assert.IsTrue(found.Any(f => f.Contains("WithoutId", StringComparison.Ordinal)), string.Join('\n', found));
    }

    private static AttributeValue Attribute(string name, params object?[] arguments) => new(name, arguments, new Dictionary<string, object?>());

    // Bad samples: never called.
    private static partial class SampleLogOne
    {
        [LoggerMessage(EventId = 9001, Level = LogLevel.Information, Message = "one")]
        public static partial void One(ILogger logger);

        [LoggerMessage(Level = LogLevel.Information, Message = "none")]
        public static partial void WithoutId(ILogger logger);
    }

    private static partial class SampleLogTwo
    {
        [LoggerMessage(9001, LogLevel.Information, "two")]
        public static partial void Two(ILogger logger);
    }
}
