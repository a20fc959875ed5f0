using System.Text;
using System.Text.Json;
using Dpu.Hosting.Logging;
using Microsoft.Extensions.Logging;

namespace Dpu.Hosting.Tests.Logging;

[TestClass]
public sealed class LogTests
{
    private static readonly LogEntry _entry = new(
        new DateTimeOffset(2026, 1, 2, 3, 4, 5, TimeSpan.Zero),
        LogLevel.Warning,
        "Dpu.Link.Listener",
        new EventId(1007, "Refused"),
        "peer said \u001b[31m\"hi\"",
        null,
        [new("Peer", "dpu1"), new("Count", 3), new("{OriginalFormat}", "x")]);

    [TestMethod]
    [TestCategory("unit")]
    public void TokenBucket_BurstThenRate_LetsThroughAndCounts()
    {
        var bucket = new TokenBucket(2, 1);
        Assert.IsTrue(bucket.TryTake(TimeSpan.Zero));
        Assert.IsTrue(bucket.TryTake(TimeSpan.Zero));
        Assert.IsFalse(bucket.TryTake(TimeSpan.Zero));
        Assert.IsFalse(bucket.TryTake(TimeSpan.FromSeconds(0.9)));
        Assert.IsTrue(bucket.TryTake(TimeSpan.FromSeconds(1.1)));
        Assert.IsFalse(bucket.TryTake(TimeSpan.FromSeconds(0.5)), "time that goes back gives nothing");
        Assert.AreEqual(3, bucket.TakeSuppressed());
        Assert.AreEqual(0, bucket.TakeSuppressed());
    }

    [TestMethod]
    [TestCategory("unit")]
    public void Journal_EveryLine_HasThePriority()
    {
        string text = LogFormatting.Journal(_entry with { Exception = new IOException("a\nb") });
        Assert.IsTrue(text.TrimEnd('\n').Split('\n').All(l => l.StartsWith("<4>", StringComparison.Ordinal)), text);
        Assert.Contains("Listener[1007 Refused]: peer said \\x1b[31m\"hi\"", text);
    }

    [TestMethod]
    [TestCategory("unit")]
    public void Text_ControlCharacters_AreShownNotSent()
    {
        string text = LogFormatting.Text(_entry with { Message = "a\u001b[2Jb\r\n2026-01-01 forged" });
        Assert.StartsWith("2026-01-02T03:04:05.000Z warn  Listener[1007 Refused]: a\\x1b[2Jb\n    2026-01-01 forged", text);
    }

    [TestMethod]
    [TestCategory("unit")]
    public void Json_Entry_IsOneObjectALine()
    {
        string text = LogFormatting.Json(_entry);
        Assert.AreEqual(1, text.Count(c => c == '\n'));
        using JsonDocument json = JsonDocument.Parse(text);
        Assert.AreEqual(1007, json.RootElement.GetProperty("eventId").GetInt32());
        Assert.AreEqual("warn", json.RootElement.GetProperty("level").GetString());
        Assert.AreEqual(3, json.RootElement.GetProperty("properties").GetProperty("Count").GetInt32());
        Assert.IsFalse(json.RootElement.GetProperty("properties").TryGetProperty("{OriginalFormat}", out _));
    }

    [TestMethod]
    [TestCategory("unit")]
    public void Provider_FloodOfOneEvent_IsBoundedAndCounted()
    {
        var clock = new ManualClock();
        using var output = new MemoryStream();
        using (var provider = new DaemonLoggerProvider(output, e => $"{e.EventId.Id} {e.Message}\n", LogLevel.Information, clock))
        {
            ILogger logger = provider.CreateLogger("Dpu.Test");
            for (int i = 0; i < 1000; i++)
            {
                Write(logger, 7, "flood");
            }

            Write(logger, 8, "other");
            clock.Advance(TimeSpan.FromSeconds(11));
            Write(logger, 7, "after");
        }

        string text = Encoding.UTF8.GetString(output.ToArray());
        Assert.AreEqual(DaemonLoggerProvider.Burst, text.Split('\n').Count(l => l == "7 flood"), text);
        Assert.Contains("8 other\n", text);
        Assert.Contains($"7 {1000 - DaemonLoggerProvider.Burst} more entries like this were left out\n", text);
        Assert.Contains("7 after\n", text);
    }

    [TestMethod]
    [TestCategory("unit")]
    public void Provider_LevelChanged_FollowsAtOnce()
    {
        using var output = new MemoryStream();
        using (var provider = new DaemonLoggerProvider(output, e => e.Message + "\n", LogLevel.Warning, new ManualClock()))
        {
            ILogger ours = provider.CreateLogger("Dpu.Test");
            ILogger foreign = provider.CreateLogger("Microsoft.AspNetCore.X");
            Write(ours, 1, "before");
            provider.Level = LogLevel.Debug;
            Write(ours, 1, "now");
            Write(foreign, 1, "framework");
        }

        Assert.AreEqual("now\n", Encoding.UTF8.GetString(output.ToArray()));
    }

    [TestMethod]
    [TestCategory("unit")]
    public void Provider_OutputThatFails_DoesNotThrow()
    {
        using var provider = new DaemonLoggerProvider(new BrokenStream(), LogFormatting.Text, LogLevel.Trace, new ManualClock());
        Write(provider.CreateLogger("Dpu.Test"), 1, "lost");
    }

    private static void Write(ILogger logger, int id, string message) =>
        logger.Log(LogLevel.Information, new EventId(id, "E"), message, null, (m, _) => m);

    private sealed class BrokenStream : MemoryStream
    {
        public override void Write(ReadOnlySpan<byte> buffer) => throw new IOException("closed");
    }
}
