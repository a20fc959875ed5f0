using System.Diagnostics;
using Dpu.Fuse.Wire;
using Dpu.Qtfs.Mount;
using Microsoft.Extensions.Logging;

namespace Dpu.Qtfs.Tests.Mount;

[TestClass]
public sealed class SlowRequestsTests
{
    private static readonly RemoteMountOptions Options = new() { Host = "host1", Export = "data", Target = "/mnt/x" };

    [TestMethod]
    [TestCategory("unit")]
    public void Ended_AtTheLimit_IsToldWithEverything()
    {
        var log = new Lines();
        var slow = new SlowRequests(Options, new SlowRequestLimit { Value = TimeSpan.FromSeconds(1) }, log);
        slow.Ended(Request(7), TimeSpan.FromMilliseconds(999));
        Assert.IsEmpty(log.All);
        slow.Ended(Request(7), TimeSpan.FromMilliseconds(1500));
        Assert.AreEqual((2120, "/mnt/x: FUSE_READ of node beef for thread 4242 took 1.500 s at host 'host1'"), log.All.Single());
    }

    [TestMethod]
    [TestCategory("unit")]
    public void Look_PendingBeyondTheLimit_IsToldOnceEach()
    {
        var log = new Lines();
        var slow = new SlowRequests(Options, new SlowRequestLimit { Value = TimeSpan.FromSeconds(1) }, log);
        long second = Stopwatch.Frequency;
        RequestUnderWay[] pending = [Request(7, 1), Request(9, 1 + second)];

        slow.Look(pending, 1 + (second / 2));
        Assert.IsEmpty(log.All);
        slow.Look(pending, 1 + second);
        slow.Look(pending, 1 + second + (second / 2));
        Assert.AreEqual((2121, "/mnt/x: FUSE_READ of node beef for thread 4242 has waited for host 'host1' for 1.000 s and waits on"), log.All.Single());
        slow.Look(pending, 1 + (3 * second));
        slow.Look(pending, 1 + (4 * second));
        Assert.HasCount(2, log.All);
    }

    [TestMethod]
    [TestCategory("unit")]
    public void Look_ThousandsOfRequests_AreToldOnceEach_AndForgottenOnceTheyEnd()
    {
        var log = new Lines();
        var slow = new SlowRequests(Options, new SlowRequestLimit { Value = TimeSpan.FromSeconds(1) }, log);
        RequestUnderWay[] pending = [.. Enumerable.Range(1, 5000).Select(unique => Request((ulong)unique, 1))];
        for (int i = 0; i < 3; i++)
        {
            slow.Look(pending, 1 + (10 * Stopwatch.Frequency));
        }

        Assert.HasCount(5000, log.All);
        slow.Look([], 1 + (11 * Stopwatch.Frequency));
        slow.Look(pending[..1], 1 + (12 * Stopwatch.Frequency));
        Assert.HasCount(5001, log.All, "their numbers were not kept for ever");
    }

    [TestMethod]
    [TestCategory("unit")]
    public void Requests_OfALimitOfZero_OrThatWaitForALock_AreNotTold()
    {
        var log = new Lines();
        var limit = new SlowRequestLimit();
        var slow = new SlowRequests(Options, limit, log);
        slow.Ended(Request(7), TimeSpan.FromDays(1));
        slow.Look([Request(7, 1)], long.MaxValue);
        limit.Value = TimeSpan.FromSeconds(1);
        slow.Ended(Request(7) with { Opcode = (uint)fuse_opcode.FUSE_SETLKW }, TimeSpan.FromDays(1));
        Assert.IsEmpty(log.All);

        // The limit counts from when it is set, for what waits already too.
        slow.Look([Request(7, 1)], long.MaxValue);
        Assert.HasCount(1, log.All);
    }

    private static RequestUnderWay Request(ulong unique, long readAt = 1) => new(unique, (uint)fuse_opcode.FUSE_READ, 0xbeef, 4242, readAt);

    private sealed class Lines : ILogger
    {
        public List<(int Id, string Text)> All { get; } = [];

        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) =>
            All.Add((eventId.Id, formatter(state, exception)));
    }
}
