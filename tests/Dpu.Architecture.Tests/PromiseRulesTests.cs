using Dpu.TestSupport;

namespace Dpu.Architecture.Tests;

[TestClass]
public sealed class PromiseRulesTests
{
    private static readonly IReadOnlySet<string> Tests = PromiseRules.TestsOf(SourceTree.OfRepository.Files);

    private static IEnumerable<SourceFile> Documents =>
        PromiseRules.Documents.Select(path => new SourceFile(path, File.ReadAllText(Repository.PathOf(path))));

    [TestMethod]
    [TestCategory("unit")]
    public void Documents_TestsTheyName_Exist() =>
        Expect.None(Documents.SelectMany(d => PromiseRules.UnknownTests(d, Tests)));

    [TestMethod]
    [TestCategory("unit")]
    public void Documents_EachPromise_SaysWhatHoldsIt() =>
        Expect.None(Documents.SelectMany(d => PromiseRules.RowsWithoutHolder(d, p => File.Exists(Repository.PathOf(p)))));

    [TestMethod]
    [TestCategory("unit")]
    public void Documents_Each_NamesTests()
    {
        foreach (SourceFile document in Documents)
        {
            string[] none = [.. PromiseRules.UnknownTests(document, new HashSet<string>())];
            Assert.IsGreaterThan(10, none.Length, $"{document.Path} names hardly any test");
        }
    }

    [TestMethod]
    [TestCategory("unit")]
    public void TestsOf_Repository_KnowsThisTest()
    {
        Assert.Contains($"{nameof(PromiseRulesTests)}.{nameof(TestsOf_Repository_KnowsThisTest)}", Tests);
        Assert.Contains(nameof(SourceRulesTests), Tests);
    }

    [TestMethod]
    [TestCategory("unit")]
    public void TestsOf_Source_TakesTestMethodsOnly()
    {
        const string text = """
            public sealed partial class ATests
            {
                [TestMethod]
                [TestCategory("unit")]
                [DataRow(1)]
                public async Task A_B_C(int x)
                {
                }

                [TestMethod, TestCategory("unit")]
                public void D_E_F() { }

                public void G_H_I() { }

                private sealed class Helper
                {
                }

                [TestCategory("unit"), TestMethod]
                public void J_K_L() { }
            }
            """;
        string[] found = [.. PromiseRules.TestsOf([new("tests/X/ATests.cs", text), new("qtfs-bridge/X/ATests.cs", text.Replace("ATests", "BTests", StringComparison.Ordinal))])];
        CollectionAssert.AreEquivalent((string[])["ATests", "ATests.A_B_C", "ATests.D_E_F", "ATests.J_K_L"], found);
    }

    [TestMethod]
    [TestCategory("unit")]
    [DataRow("held by `ATests.A_B_C`", 0)]
    [DataRow("`ATests`, see tests/Dpu.A.Tests/ATests.cs and `Dpu.A.Tests`", 0)]
    [DataRow("`ATests.A_B_X`", 1)]
    [DataRow("`BTests`, `ATests.A_B_C`, `ATests.Gone`", 2)]
    public void UnknownTests_Line_ReportsWhatDoesNotExist(string line, int violations) =>
        Assert.HasCount(violations, PromiseRules.UnknownTests(new("d.md", line), new HashSet<string> { "ATests", "ATests.A_B_C" }));

    [TestMethod]
    [TestCategory("unit")]
    [DataRow("`ATests.A_B_C`", 0)]
    [DataRow("untested", 0)]
    [DataRow("untested: no such device here", 0)]
    [DataRow("`tests/run.sh`, on every run", 0)]
    [DataRow("`tests/gone.sh`", 1)]
    [DataRow("", 1)]
    [DataRow("surely", 1)]
    public void RowsWithoutHolder_Row_ReportsPromisesThatNothingHolds(string cell, int violations)
    {
        SourceFile document = new("d.md", $"| promise | held by |\n|---|---|\n| it is so | {cell} |\n\n| other | table |\n|---|---|\n| of | nothing |");
        Assert.HasCount(violations, PromiseRules.RowsWithoutHolder(document, path => path == "tests/run.sh"));
    }
}
