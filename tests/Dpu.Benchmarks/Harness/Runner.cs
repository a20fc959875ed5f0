using System.Diagnostics.CodeAnalysis;

namespace Dpu.Benchmarks.Harness;

/// <summary>
/// Runs every work on every contender, round by round; the order of contenders is reversed each round, so that a drift
/// of the machine (heat, other load) hits all alike. Each run has a time limit.
/// </summary>
internal sealed class Runner<T>(IReadOnlyList<T> contenders, IReadOnlyList<Work<T>> works, int rounds, Action<string> progress, bool best = false)
    where T : IContender
{
    // A run takes under a second; a peer that hangs must not hang us.
    private static readonly TimeSpan RunLimit = TimeSpan.FromSeconds(30);

    private readonly HashSet<string> dead = [];
    private readonly Results results = new(best);

    /// <summary>Starts the contenders, runs, and disposes of them.</summary>
    public Results Run()
    {
        try
        {
            foreach (T contender in contenders)
            {
                progress($"starting {contender.Name}");
                Start(contender);
            }

            for (int round = 0; round < rounds; round++)
            {
                progress($"round {round + 1} of {rounds}");
                IReadOnlyList<T> order = round % 2 == 0 ? contenders : [.. contenders.Reverse()];
                foreach (Work<T> work in works)
                {
                    foreach (T contender in order.Where(c => work.IsFor(c.Name) && !dead.Contains(c.Name) && !results.HasFailed(work.Name, c.Name)))
                    {
                        RunOnce(work, contender);
                    }
                }
            }
        }
        finally
        {
            foreach (T contender in contenders.Reverse())
            {
                contender.Dispose();
            }
        }

        return results;
    }

    [SuppressMessage("Design", "CA1031", Justification = "Whatever keeps a contender from starting is its result, named in the table.")]
    private void Start(T contender)
    {
        try
        {
            contender.Start();
        }
        catch (UnavailableException e)
        {
            dead.Add(contender.Name);
            results.Unavailable.Add(contender.Name, e.Message);
            progress($"{contender.Name} is not available: {e.Message}");
        }
        catch (Exception e)
        {
            Bury(contender, e.Message);
        }
    }

    [SuppressMessage("Design", "CA1031", Justification = "Whatever fails a run is its result, named in the table.")]
    private void RunOnce(Work<T> work, T contender)
    {
        double value = 0;
        Exception? failure = null;
        Thread thread = new(() =>
        {
            try
            {
                value = work.Run(contender);
            }
            catch (Exception e)
            {
                failure = e;
            }
        })
        {
            IsBackground = true,
            Name = "bench",
        };
        thread.Start();
        if (!thread.Join(RunLimit))
        {
            contender.Abort();
            // Calls on an aborted contender fail at once; a thread that is stuck even so is left to the process's end.
            thread.Join(RunLimit);
            Bury(contender, $"no end of '{work.Name}' within {RunLimit.TotalSeconds:0} s");
        }
        else if (failure is not null)
        {
            results.Fail(work.Name, contender.Name, failure.Message);
        }
        else
        {
            results.Add(work.Name, contender.Name, value);
        }
    }

    private void Bury(T contender, string reason)
    {
        dead.Add(contender.Name);
        foreach (Work<T> work in works.Where(w => w.IsFor(contender.Name)))
        {
            results.Fail(work.Name, contender.Name, reason);
        }
    }
}
