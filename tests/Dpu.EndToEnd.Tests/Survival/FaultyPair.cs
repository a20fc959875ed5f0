using System.Diagnostics;

namespace Dpu.EndToEnd.Tests.Survival;

/// <summary>A pair with a keeper and a proxy on its link, to which things happen.</summary>
internal sealed class FaultyPair : IDisposable
{
    private const string Protected = "holds what this daemon has";

    // Where nothing asks, no byte crosses: the link is cut all the same.
    private static readonly TimeSpan CutLimit = TimeSpan.FromSeconds(2);
    private static readonly TimeSpan KillLimit = TimeSpan.FromSeconds(10);
    private readonly LinkProxy _proxy;

    public FaultyPair(string cache, LinkKind link)
    {
        Pair = new Pair(link, keeper: true);
        Pair.AgentConfiguration["log"]!["level"] = "Information";
        _proxy = LinkProxy.Up(Pair, out string mount, cache);
        Mount = mount;

        // PostgreSQL is another user.
        Shell.Check($"chmod 755 {Pair.Folder} {Pair.MountRoot} {Pair.ExportRoot}", "/");
    }

    /// <summary>The daemons.</summary>
    public Pair Pair { get; }

    /// <summary>Where the mount is.</summary>
    public string Mount { get; }

    /// <summary>Lets one fault happen and waits until what was gone is back.</summary>
    public FaultRecord Let(Fault fault, string load)
    {
        long gone = Stopwatch.GetTimestamp(), back;
        switch (fault.Kind)
        {
            case FaultKind.Cut:
                Task<long> cut = _proxy.CloseAfter(fault.Bytes);
                if (!cut.Wait(CutLimit))
                {
                    _proxy.CloseNow();
                }

                gone = cut.GetAwaiter().GetResult();
                Pause(fault.Outage - Stopwatch.GetElapsedTime(gone));
                _proxy.Closed = false;
                back = Stopwatch.GetTimestamp();
                break;
            case FaultKind.RuntimeKill:
                KillRuntime();
                back = Pair.RestartRuntime(quick: true).ReadyAt;
                break;
            case FaultKind.AgentKill:
                Pair.Agent.Kill();
                back = Pair.RestartAgent(quick: true).ReadyAt;
                break;
            case FaultKind.BothKill:
                Pair.Agent.Kill();
                KillRuntime();
                Task<Daemon> agent = Task.Run(() => Pair.RestartAgent(quick: true));
                back = Pair.RestartRuntime(quick: true).ReadyAt;
                back = Math.Max(back, agent.GetAwaiter().GetResult().ReadyAt);
                break;
            case FaultKind.KeeperKill:
                Daemon[] watching = [.. ((Daemon[])[Pair.Runtime, Pair.Agent]).Where(daemon => Told(daemon) > 0)];
                int[] told = [.. watching.Select(Told)];
                Pair.Keeper!.Kill();
                Pair.Keeper.Start();
                Eventually.True(() => watching.Index().All(one => Told(one.Item) > told[one.Index]), Pair.Limit, "the daemons to have the new keeper hold what they have");
                back = Stopwatch.GetTimestamp();
                break;
            case FaultKind.RuntimeStop:
                Assert.AreEqual(0, Pair.Runtime.Stop());
                back = Pair.RestartRuntime(quick: true).ReadyAt;
                break;
            case FaultKind.AgentStop:
                Assert.AreEqual(0, Pair.Agent.Stop());
                back = Pair.RestartAgent(quick: true).ReadyAt;
                break;
            default:
                throw new ArgumentOutOfRangeException(nameof(fault), fault.Kind, "an unknown fault");
        }

        return new FaultRecord(fault, load, Nanoseconds(gone), Nanoseconds(back));
    }

    /// <summary>Lets some time pass in which nothing shall happen.</summary>
    public static void Pause(TimeSpan time)
    {
        if (time > TimeSpan.Zero)
        {
            using ManualResetEventSlim never = new();
            never.Wait(time);
        }
    }

    // What waits for the end of a killed daemon, as systemd does, starts no other one: that is a hang.
    private void KillRuntime()
    {
        Daemon old = Pair.Runtime;
        if (!old.TryKill(KillLimit))
        {
            string threads = old.Describe();
            Pair.RestartRuntime(quick: true);
            throw new InvalidOperationException(
                $"HUNG: a runtime that was killed did not end within {KillLimit.TotalSeconds} s; {(old.Ends(KillLimit) ? "it ended when the next one had taken over" : "nor with the next one there")}:\n{threads}");
        }
    }

    /// <summary>The ends of what the daemons have logged.</summary>
    public string Logs() => $"the agent's log:\n{Tail(Pair.Agent.Log)}\nthe runtime's log:\n{Tail(Pair.Runtime.Log)}\nthe keeper's log:\n{Tail(Pair.Keeper!.Running.Error)}";

    /// <summary>What each thread of both daemons does now, and each process that waits for the mount.</summary>
    public string Threads() => $"the runtime's threads:\n{Pair.Runtime.Describe()}\nthe agent's threads:\n{Pair.Agent.Describe()}";

    /// <summary>Ends the mount by force, and with it what hangs on it: a killed daemon, and programs that nothing else ends.</summary>
    public void Abort()
    {
        ExternalProgram.Run("umount", ["-f", Mount], KillLimit);
        ExternalProgram.Run("umount", ["-l", Mount], KillLimit);
    }

    public void Dispose()
    {
        _proxy.Closed = false;
        Pair.Dispose();
        _proxy.Dispose();
    }

    /// <summary>A time of Stopwatch as CLOCK_MONOTONIC has it, which it is on Linux.</summary>
    public static long Nanoseconds(long timestamp) => (long)((Int128)timestamp * 1_000_000_000 / Stopwatch.Frequency);

    private static int Told(Daemon daemon) => daemon.Log.Split(Protected).Length - 1;

    private static string Tail(string text) => string.Join('\n', text.Split('\n').TakeLast(40));
}
