using Dpu.Ctl.Completion;
using Dpu.TestSupport;

namespace Dpu.Ctl.Tests;

[TestClass]
public sealed class ManualTests
{
    [TestMethod]
    [TestCategory("unit")]
    public void Manual_EveryVerbAndOption_IsInIt()
    {
        // As the reader sees it: hyphens unescaped, no requests, words of one line joined.
        string page = File.ReadAllText(Repository.PathOf("docs/man/dpuctl.1")).Replace("\\-", "-", StringComparison.Ordinal);
        var missing = new List<string>();
        foreach (CompletionNode node in Tree().All())
        {
            string verb = "dpuctl " + string.Join(' ', node.Path);
            if (node.Path.Count > 0 && node.Children.Count == 0 && !page.Contains(verb, StringComparison.Ordinal))
            {
                missing.Add(verb);
            }

            missing.AddRange(node.Options
                .SelectMany(o => o.Names)
                .Where(n => n != "-?" && !System.Text.RegularExpressions.Regex.IsMatch(page, $"(^|[\\s\"]){System.Text.RegularExpressions.Regex.Escape(n)}([\\s\",]|$)", System.Text.RegularExpressions.RegexOptions.Multiline))
                .Select(n => $"{verb} {n}"));
        }

        Assert.AreEqual(string.Empty, string.Join(", ", missing.Distinct()));
    }

    [TestMethod]
    [TestCategory("unit")]
    public void Manual_EveryExitCode_IsInIt()
    {
        string page = File.ReadAllText(Repository.PathOf("docs/man/dpuctl.1"));
        foreach (System.Reflection.FieldInfo field in typeof(Dpu.Hosting.ExitCodes).GetFields())
        {
            Assert.Contains($".B {field.GetRawConstantValue()}\n", page, field.Name);
        }
    }

    [TestMethod]
    [TestCategory("interop")]
    [DataRow("dpuctl.1")]
    [DataRow("dpu-host-agent.8")]
    [DataRow("dpu-runtime.8")]
    [DataRow("dpu-keeper.8")]
    [DataRow("dpu-stub.1")]
    [DataRow("dpu-host-agent.json.5")]
    [DataRow("dpu-runtime.json.5")]
    [DataRow("dpu-view.json.5")]
    [DataRow("dpu-run.8")]
    public void Manual_Formatted_HasNoWarning(string page)
    {
        ProgramResult result = ExternalProgram.Run(
            Requires.Tool("man"),
            ["--warnings=w", "-P", "cat", "-l", Repository.PathOf("docs/man/" + page)],
            TimeSpan.FromSeconds(60),
            environment: new Dictionary<string, string?> { ["LC_ALL"] = "C.UTF-8", ["MANWIDTH"] = "100", ["MANROFFOPT"] = "" });
        Assert.AreEqual(0, result.ExitCode, result.Error);
        Assert.AreEqual(string.Empty, result.Error);
        Assert.Contains("NAME", result.Output);
    }

    internal static CompletionNode Tree() =>
        CompletionNode.Of(CommandTree.Build(TextWriter.Null, TextWriter.Null, new ConsoleTraits(AllowsColor: false)));
}
