using System.Diagnostics;
using System.Text.Json.Nodes;

namespace Dpu.EndToEnd.Tests.Survival;

/// <summary>How long and how hard a run is.</summary>
/// <param name="Cuts">Of the link.</param>
/// <param name="Kills">Of each daemon.</param>
/// <param name="LoadSeconds">How long one round of loads works.</param>
/// <param name="Most">No fault begins later.</param>
/// <param name="WithPostgres">Among the loads.</param>
internal sealed record SurvivalSize(int Cuts, int Kills, int LoadSeconds, TimeSpan Most, bool WithPostgres);

/// <summary>Faults beside loads that find out what they lost, and a prober that measures how long it stood still.</summary>
internal sealed class SurvivalRun(string cache, LinkKind link, SurvivalSize size, int seed, IReadOnlySet<FaultKind> kinds)
{
    /// <summary>The load that is none.</summary>
    public const string Idle = "idle";

    // An operation may take as long as what it needs is away, and so much more.
    private static readonly TimeSpan HangLimit = TimeSpan.FromSeconds(30);
    private static readonly string[] s_unknown = ["EIO", "Input/output error", "disk I/O error", "Errno 5]"];

    private readonly List<FaultRecord> _records = [];
    private readonly List<string> _wrong = [];
    private readonly List<string> _unknownOutcomes = [];
    private readonly Dictionary<string, int> _rounds = [];
    private int _agentFaults;
    private Task _loads = Task.CompletedTask;

    private bool HasRoundOfEach => _rounds.Count >= (size.WithPostgres ? 4 : 3);

    /// <summary>Runs it all; throws where anything was lost, doubled, wrong or hung. Returns the table's rows.</summary>
    public JsonArray Run()
    {
        Fault[] plan = Fault.Plan(seed, size.Cuts, size.Kills, kinds);
        long started = Stopwatch.GetTimestamp();
        FaultyPair? pair = new FaultyPair(cache, link);
        try
        {
            return Run(pair, plan, started);
        }
        catch (AssertFailedException)
        {
            // What has gone wrong is the first thing to know, not what its end brings.
            try
            {
                pair.Abort();
                _ = Task.WaitAny([_loads.ContinueWith(_ => { }, TaskScheduler.Default)], Loads.Patience);
                pair.Dispose();
            }
            catch (Exception e) when (e is AssertFailedException or InvalidOperationException)
            {
                Console.WriteLine($"the daemons' end: {e.Message}");
            }

            pair = null;
            throw;
        }
        finally
        {
            pair?.Dispose();
        }
    }

    private JsonArray Run(FaultyPair pair, Fault[] plan, long started)
    {
        using var probing = new Prober(StressPrograms.Prober, pair.Mount, pair.Pair.Folder);
        int next = 0;
        try
        {
            for (int round = 0; _wrong.Count == 0 && ((next < plan.Length && Stopwatch.GetElapsedTime(started) < size.Most) || !HasRoundOfEach); round++)
            {
                next = Round(pair, probing, round, plan, next, started);
            }
        }
        catch (Exception e) when (e is AssertFailedException or TimeoutException or InvalidOperationException or ProgramException)
        {
            _wrong.Add($"at fault {_records.Count}: {e.Message}\n{pair.Threads()}");
        }

        JsonArray rows = End(pair, probing, started);
        Assert.IsEmpty(
            _wrong,
            $"seed {seed}, cache {cache}, link {link}:\n{string.Join("\n", _wrong)}\nthe last faults of {_records.Count}:\n{string.Join("\n", _records.TakeLast(30))}\n{(_wrong.Count == 0 ? "" : pair.Logs())}");
        return rows;
    }

    private int Round(FaultyPair pair, Prober probing, int round, Fault[] plan, int next, long started)
    {
        var loads = new Loads(pair, seed + (100 * round), size.LoadSeconds);
        (string Name, Action<string>[] Works)[] sets =
        [
            ("files", [loads.Files, loads.Once]),
            ("databases", [loads.Fio, loads.Sqlite, loads.Tree]),
            (Idle, [loads.Idle]),
            .. size.WithPostgres ? [("postgres", [loads.Postgres])] : Array.Empty<(string, Action<string>[])>(),
        ];
        (string name, Action<string>[] works) = sets[round % sets.Length];
        int agentFaults = _agentFaults;
        Task[] running = [.. works.Select((work, number) => Task.Factory.StartNew(
            () => work($"r{round}-{number}"), CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default))];
        Task all = _loads = Task.WhenAll(running);
        while (!all.IsCompleted)
        {
            if (_wrong.Count > 0 || next >= plan.Length || Stopwatch.GetElapsedTime(started) > size.Most)
            {
                _ = Task.WaitAny(all);
                break;
            }

            Fault fault = plan[next++];
            if (Task.WaitAny([all], fault.Pause) == 0)
            {
                next--;
                break;
            }

            _agentFaults += fault.Kind is FaultKind.AgentKill or FaultKind.AgentStop or FaultKind.BothKill ? 1 : 0;
            FaultRecord record = pair.Let(fault, name);
            _records.Add(record);
            AwaitProgress(pair, probing, record);
        }

        foreach (Task task in running.Where(task => task.IsFaulted))
        {
            string message = task.Exception!.InnerException!.Message;
            bool unknown = _agentFaults > agentFaults && s_unknown.Any(text => message.Contains(text, StringComparison.Ordinal));
            (unknown ? _unknownOutcomes : _wrong).Add($"round {round} ({name}): {message}");
        }

        _rounds[name] = _rounds.GetValueOrDefault(name) + 1;
        return next;
    }

    // What stands still after its fault is over is seen while it does, with where it waits.
    private void AwaitProgress(FaultyPair pair, Prober probing, FaultRecord record)
    {
        if (!Eventually.Within(() => probing.StandingStill(record.Back).Length == 0, HangLimit))
        {
            throw new TimeoutException($"HUNG for {HangLimit.TotalSeconds} s behind {record}: {string.Join(", ", probing.StandingStill(record.Back))}");
        }
    }

    private JsonArray End(FaultyPair pair, Prober probing, long started)
    {
        IReadOnlyList<Operation> slow = probing.Slow();
        Operation[] failed = [.. slow.Where(one => one.Wrong != "-")];
        _unknownOutcomes.AddRange(failed.Where(one => _agentFaults > 0 && one.Error == "EIO").Select(one => $"prober: {one}"));
        _wrong.AddRange(failed.Where(one => _agentFaults == 0 || one.Error != "EIO").Take(20).Select(one => $"prober: {one}"));
        if (_wrong.Count == 0)
        {
            JsonNode counters = pair.Pair.Counters();
            Console.WriteLine($"{counters["repeated"]} asked again, {counters["recovered"]} begun by one runtime and ended by another, since its last start");
            if (_agentFaults == 0 && counters["unknownOutcome"]!.GetValue<long>() != 0)
            {
                _wrong.Add($"{counters["unknownOutcome"]} unknown outcomes though no agent has ended");
            }
        }

        Prober.Attribute(_records, slow);
        JsonArray rows = StallTable.Rows($"cache {cache}, link {link}", _records);
        long[] counts = probing.Counts(), took = probing.Took();
        Report.Add(
            $"""
            seed {seed}, cache {cache}, link {link}: {Stopwatch.GetElapsedTime(started).TotalSeconds:0} s, {string.Join(", ", _records.GroupBy(record => record.Fault.Kind).OrderBy(group => group.Key).Select(group => $"{group.Count()} {group.Key}"))}; rounds: {string.Join(", ", _rounds.Select(round => $"{round.Value} {round.Key}"))}
            lost, doubled, hung, false success or any other failure: {_wrong.Count}; EIO of unknown outcome after agent kills: {_unknownOutcomes.Count}
            the prober's operations: {string.Join(", ", Prober.Kinds.Select((kind, index) => $"{counts[index]} {kind} of {took[index] / 1e3 / Math.Max(1, counts[index]):0} us"))}
            {StallTable.Markdown(rows)}
            """);
        Report.Save($"survival-{cache}-{link}".ToLowerInvariant(), new JsonObject
        {
            ["seed"] = seed,
            ["cache"] = cache,
            ["link"] = link.ToString(),
            ["failures"] = _wrong.Count,
            ["unknownOutcomes"] = _unknownOutcomes.Count,
            ["stalls"] = rows,
            ["faults"] = new JsonArray([.. _records.Select(record => (JsonNode)record.ToString())]),
        });
        return rows;
    }
}
