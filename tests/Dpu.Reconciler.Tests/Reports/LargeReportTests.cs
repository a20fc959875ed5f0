using System.Text.Json;
using System.Xml;
using Dpu.Flows.Table;
using Dpu.Reconciler.Records;
using Dpu.Reconciler.Repair;
using Dpu.Reconciler.Reports;
using Dpu.Reconciler.Targets;
using Dpu.Reconciler.Tests.Support;

namespace Dpu.Reconciler.Tests.Reports;

/// <summary>The report of 100,000 flows in its three forms.</summary>
[TestClass]
public sealed class LargeReportTests
{
    private const int Flows = 100_000;

    // Of each hundred: one is missing, one does something else, one has another priority, one is there and should not be.
    private const int Each = Flows / 100;

    [TestMethod, TestCategory("unit")]
    public async Task HundredThousandFlows_InTextJsonAndHtml_SayTheSame()
    {
        PassReport report = await ReportAsync();
        StringWriter text = new(), json = new(), html = new();
        TextReport.Write(text, report);
        JsonReport.WriteVersion(json, "dpu-reconcile");
        JsonReport.Write(json, report);
        HtmlReport.Write(html, report, [new PassPoint(report.Time.AddMinutes(-1), 0, 0), new PassPoint(report.Time, report.Found.Problems, report.Remaining.Problems)]);

        string[] lines = text.ToString().TrimEnd('\n').Split('\n');
        Assert.AreEqual((Each, Each, 2 * Each), (lines.Count(l => l.StartsWith("+ missing: ", StringComparison.Ordinal)), lines.Count(l => l.StartsWith("- stale: ", StringComparison.Ordinal)), lines.Count(l => l.StartsWith("~ divergent-", StringComparison.Ordinal))));
        Assert.AreEqual($"{4 * Each} differences: {Each} missing, {Each} stale, {2 * Each} divergent; {Flows - (3 * Each)} flows agree; wanted has {Flows}, there has {Flows}", lines[^2]);

        JsonElement[] objects = [.. json.ToString().TrimEnd('\n').Split('\n').Select(l => JsonDocument.Parse(l).RootElement)];
        Assert.HasCount((4 * Each) + 2, objects);
        CollectionAssert.AreEqual(
            lines.Where(l => l[0] is '+' or '-' or '~').Select(l => l.Split(' ')[1].Split('-', ':')[0]).ToArray(),
            objects[1..^1].Select(o => o.GetProperty("category").GetString()).ToArray(), "the same differences in the same order");
        Assert.AreEqual(Each, objects[^1].GetProperty("found").GetProperty("missing").GetInt32());

        // It is XML but for its first line, and is whole without a network.
        string page = html.ToString();
        XmlDocument document = new();
        document.LoadXml(page[page.IndexOf("<html", StringComparison.Ordinal)..].Replace("<meta charset=\"utf-8\">", "", StringComparison.Ordinal));
        Assert.AreEqual(HtmlReport.MaxRows + 1, document.SelectNodes("//table/tr")!.Count);
        StringAssert.Contains(page, $"{(4 * Each) - HtmlReport.MaxRows} more are not listed.");
        Assert.IsFalse(page.Contains("<script", StringComparison.Ordinal) || page.Contains("http", StringComparison.Ordinal) || page.Contains("src=", StringComparison.Ordinal));
        Assert.IsLessThan(2_000_000, page.Length);
        Assert.AreEqual(4, document.SelectNodes("//svg")!.Count, "differences, over time, tables, heat");
    }

    private static Task<PassReport> ReportAsync()
    {
        FlowSet desired = new(), actual = new();
        for (int i = 0; i < Flows; i++)
        {
            FlowDefinition flow = Samples.Numbered(i) with { Table = (byte)(i % 3) };
            _ = desired.Add(flow);
            FlowDefinition there = (i % 100) switch
            {
                1 => Samples.Numbered(i + Flows),
                2 => flow with { Actions = [] },
                3 => flow with { Priority = 50 },
                _ => flow,
            };
            _ = actual.Add(there, new FlowFacts((ulong)i + 1, (ulong)(i % 1000), (ulong)i));
        }

        return new FlowReconciler(new MemoryTarget(desired, "wanted"), new MemoryTarget(actual, "there"), new ReconcilerOptions { Confirmations = 1 }).RunAsync(apply: false);
    }
}
