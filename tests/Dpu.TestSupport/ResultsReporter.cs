using System.Globalization;
using Microsoft.Testing.Platform.Builder;
using Microsoft.Testing.Platform.Extensions;
using Microsoft.Testing.Platform.Extensions.Messages;
using Microsoft.Testing.Platform.Extensions.TestHost;
using Microsoft.Testing.Platform.Services;

namespace Dpu.TestSupport;

/// <summary>Registers <see cref="ResultsReporter"/>; called by the generated entry point of every test program.</summary>
public static class ResultsReporterHook
{
    /// <summary>Adds the reporter where <c>DPU_TEST_RESULTS</c> names a file.</summary>
    public static void AddExtensions(ITestApplicationBuilder builder, string[] arguments)
    {
        _ = arguments;
        if (Environment.GetEnvironmentVariable("DPU_TEST_RESULTS") is { Length: > 0 } path)
        {
            // One object in two parts: the platform must know, or it counts two consumers.
            CompositeExtensionFactory<ResultsReporter> reporter = new(_ => new ResultsReporter(path));
            builder.TestHost.AddDataConsumer(reporter);
            builder.TestHost.AddTestSessionLifetimeHandler(reporter);
        }
    }
}

/// <summary>
/// Writes one line a test event for <c>./dev test</c>, at once, so that a crash or hang can be laid at a test's door.
/// </summary>
/// <remarks>
/// Columns, separated by tabs: <c>started|passed|failed|skipped|finished</c>, start and end in milliseconds since 1970,
/// categories separated by commas, the test's full name, the first line of the explanation. <c>finished</c> is the last
/// line of a complete run.
/// </remarks>
internal sealed class ResultsReporter(string path) : IDataConsumer, ITestSessionLifetimeHandler
{
    private readonly Lock gate = new();

    public string Uid => "dpu-results-reporter";

    public string Version => "1";

    public string DisplayName => "Dpu results reporter";

    public string Description => "Writes one line a test event for ./dev test.";

    public Type[] DataTypesConsumed { get; } = [typeof(TestNodeUpdateMessage)];

    public Task<bool> IsEnabledAsync() => Task.FromResult(true);

    public Task OnTestSessionStartingAsync(ITestSessionContext testSessionContext) => Task.CompletedTask;

    public Task OnTestSessionFinishingAsync(ITestSessionContext testSessionContext)
    {
        Write("finished", default, default, "", "", null);
        return Task.CompletedTask;
    }

    public Task ConsumeAsync(IDataProducer dataProducer, IData value, CancellationToken cancellationToken)
    {
        if (value is TestNodeUpdateMessage { TestNode: TestNode node })
        {
            TestNodeStateProperty? state = node.Properties.SingleOrDefault<TestNodeStateProperty>();
            if (EventOf(state) is { } name)
            {
                TimingInfo timing = node.Properties.SingleOrDefault<TimingProperty>()?.GlobalTiming ?? default;
                Write(name, timing.StartTime, timing.EndTime, Categories(node), FullName(node), Explanation(state));
            }
        }

        return Task.CompletedTask;
    }

    private static string? EventOf(TestNodeStateProperty? state) => state switch
    {
        InProgressTestNodeStateProperty => "started",
        PassedTestNodeStateProperty => "passed",
        SkippedTestNodeStateProperty => "skipped",
        DiscoveredTestNodeStateProperty or null => null,
        // Failed, error, timeout, cancelled, and whatever comes later: none of them is a pass.
        _ => "failed",
    };

    private static string? Explanation(TestNodeStateProperty? state) => state switch
    {
        FailedTestNodeStateProperty { Exception: { } e } => e.Message,
        ErrorTestNodeStateProperty { Exception: { } e } => e.Message,
        _ => state?.Explanation,
    };

    private static string FullName(TestNode node)
    {
        TestMethodIdentifierProperty? method = node.Properties.SingleOrDefault<TestMethodIdentifierProperty>();
        if (method is null)
        {
            return node.DisplayName;
        }

        string name = $"{method.Namespace}.{method.TypeName}.{method.MethodName}";
        return node.DisplayName == method.MethodName ? name : $"{name} [{node.DisplayName}]";
    }

    // MSTest publishes a category as a property with the category as its key and nothing as its value.
    private static string Categories(TestNode node) =>
        string.Join(',', node.Properties.OfType<TestMetadataProperty>().Where(p => p.Value.Length == 0).Select(p => p.Key));

    private void Write(string name, DateTimeOffset start, DateTimeOffset end, string categories, string test, string? explanation)
    {
        string line = string.Join('\t', name, Milliseconds(start), Milliseconds(end), categories, Clean(test), Clean(explanation ?? ""));
        lock (gate)
        {
            File.AppendAllText(path, line + "\n");
        }
    }

    private static string Milliseconds(DateTimeOffset time) =>
        time == default ? "0" : time.ToUnixTimeMilliseconds().ToString(CultureInfo.InvariantCulture);

    private static string Clean(string text)
    {
        string first = text.Split('\n', 2)[0];
        return first.Replace('\t', ' ').Trim();
    }
}
