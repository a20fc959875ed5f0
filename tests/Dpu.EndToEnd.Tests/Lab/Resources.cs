namespace Dpu.EndToEnd.Tests.Lab;

/// <summary>Compares what a daemon holds before and after it was attacked many times.</summary>
internal static class Resources
{
    /// <summary>How often an attack is repeated: ten times the slack, so that one leak an attack is seen.</summary>
    public const int Repeats = 100;

    // Thread pool threads and pipes of the log come and go by a few; RSS by what the collector has not given back yet.
    private const int Slack = 10;
    private const long SlackKiB = 64 * 1024;

    /// <summary>Runs an attack once to warm up, then <see cref="Repeats"/> times, and fails where the daemon keeps something of it.</summary>
    public static void AssertNothingKept(Daemon daemon, Action attack)
    {
        attack();
        int descriptors = 0, threads = 0;

        // The warm-up's own connections are gone when the numbers no longer fall.
        Eventually.True(
            () =>
            {
                (int d, int t) = (daemon.Descriptors, daemon.Threads);
                bool settled = (d, t) == (descriptors, threads);
                (descriptors, threads) = (d, t);
                return settled;
            },
            Pair.Limit,
            "the daemon to settle");
        long resident = daemon.ResidentKiB;
        for (int i = 0; i < Repeats; i++)
        {
            attack();
        }

        Eventually.True(() => daemon.Descriptors <= descriptors + Slack, Pair.Limit, $"at most {descriptors + Slack} descriptors (now {daemon.Descriptors})");
        Eventually.True(() => daemon.Threads <= threads + Slack, Pair.Limit, $"at most {threads + Slack} threads (now {daemon.Threads})");
        Eventually.True(() => daemon.ResidentKiB <= resident + SlackKiB, Pair.Limit, $"at most {resident + SlackKiB} KiB resident (now {daemon.ResidentKiB})");
    }
}
