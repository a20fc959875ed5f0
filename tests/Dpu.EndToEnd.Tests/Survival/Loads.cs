using System.Globalization;

namespace Dpu.EndToEnd.Tests.Survival;

/// <summary>Work on a mount that finds out itself whether something was lost, doubled or wrong; each throws where it was.</summary>
/// <param name="pair">Whose mount.</param>
/// <param name="seed">Of its random numbers.</param>
/// <param name="seconds">How long one is to work; it may take longer to end.</param>
internal sealed class Loads(FaultyPair pair, int seed, int seconds)
{
    /// <summary>How long anything may take beside its time of work: then it hangs.</summary>
    public static readonly TimeSpan Patience = TimeSpan.FromSeconds(90);

    private const int SharedParts = 3;

    private string Seconds => seconds.ToString(CultureInfo.InvariantCulture);

    private TimeSpan Limit => TimeSpan.FromSeconds(seconds) + Patience;

    /// <summary>Nothing but the prober, whose stalls are then the faults' own.</summary>
    public void Idle(string place) => FaultyPair.Pause(TimeSpan.FromSeconds(seconds));

    /// <summary>Two files of a process each, and one that several share, against models and what the host has.</summary>
    public void Files(string place)
    {
        (string there, string onHost) = Place(place);
        int part = 0;
        RunAll([.. Enumerable.Range(0, 2 + SharedParts).Select(number =>
        {
            string file = number < 2 ? $"own{number}" : "shared";
            string[] shared = number < 2 ? [] : ["--part", (part++).ToString(CultureInfo.InvariantCulture)];
            return RunningProgram.Start(
                StressPrograms.File,
                [
                    "--file", Path.Combine(there, file), "--host", Path.Combine(onHost, file), "--seconds", Seconds,
                    "--seed", (seed + number).ToString(CultureInfo.InvariantCulture), .. shared,
                ]);
        })]);
    }

    /// <summary>Steps of names and contents that fail where one happened twice or not at all.</summary>
    public void Once(string place)
    {
        (string there, string onHost) = Place(place);
        using OnceWorkers workers = new(there, seconds, Patience);
        workers.Check(onHost, seed);
    }

    /// <summary>A tree of names that several processes change, and its end as the host has it.</summary>
    public void Tree(string place)
    {
        (string there, string onHost) = Place(place);
        RunAll(RunningProgram.Start(StressPrograms.Tree, ["run", "--seed", seed.ToString(CultureInfo.InvariantCulture), "--seconds", Seconds, "3", there]));
        string expected = ExternalProgram.Check(StressPrograms.Tree, ["describe", onHost], Patience), seen = "";
        Assert.IsTrue(
            Eventually.Within(() => (seen = ExternalProgram.Check(StressPrograms.Tree, ["describe", there], Patience)) == expected, TimeSpan.FromSeconds(10)),
            $"the tree differs:\n{string.Join('\n', expected.Split('\n').Except(seen.Split('\n')).Take(10))}\non the mount:\n{string.Join('\n', seen.Split('\n').Except(expected.Split('\n')).Take(10))}");
    }

    /// <summary>fio(1): each block has its checksum, on the mount and on the host.</summary>
    public void Fio(string place)
    {
        (string there, string onHost) = Place(place);
        string job = Path.Combine(pair.Pair.Folder, $"{place}.job");
        FioJob.Write(job, megabytes: 4, seed);
        ExternalProgram.Check("fio", ["--output=/dev/null", job], Limit, directory: there);
        ExternalProgram.Check("fio", ["--output=/dev/null", "--verify_only", job], Patience, directory: onHost);
    }

    /// <summary>SQLite: writers of one number and of rows with checksums; what was told to be committed is there, once.</summary>
    public void Sqlite(string place)
    {
        (string there, string onHost) = Place(place);
        RunAll(Shell.StartPython(
            """
            import sqlite3
            d = sqlite3.connect('n.db')
            d.execute('create table n (v int)')
            d.execute('insert into n values (0)')
            d.execute('create table rows (writer int, i int, hash text, content blob, primary key (writer, i))')
            d.commit()
            """,
            there));
        string[] told = RunAll([.. Enumerable.Range(0, 2).Select(writer => Shell.StartPython(
            $"""
            import hashlib, random, sqlite3
            random.seed({seed + writer})
            d = sqlite3.connect('n.db', timeout=90, isolation_level=None)
            end, i = time.time() + {seconds}, 0
            while time.time() < end:
                content = random.randbytes(random.randrange(9000))
                d.execute('begin immediate')
                v, = d.execute('select v from n').fetchone()
                d.execute('update n set v = ?', (v + 1,))
                d.execute('insert into rows values (?, ?, ?, ?)', ({writer}, i, hashlib.sha256(content).hexdigest(), content))
                d.execute('commit')
                i += 1
            say(i)
            """,
            there))]);
        int sum = told.Sum(count => int.Parse(count, CultureInfo.InvariantCulture));
        foreach (string side in (string[])[there, onHost])
        {
            string found = RunAll(Shell.StartPython(
                """
                import hashlib, sqlite3
                d = sqlite3.connect('n.db')
                ok = d.execute('pragma integrity_check').fetchone()[0]
                good = sum(hashlib.sha256(content).hexdigest() == h for h, content in d.execute('select hash, content from rows'))
                say(ok, d.execute('select v from n').fetchone()[0], good, *[d.execute('select count(*) from rows where writer = ?', (w,)).fetchone()[0] for w in (0, 1)])
                """,
                side))[0];
            Assert.AreEqual($"ok {sum} {sum} {string.Join(' ', told)}", found, $"SQLite in {side}");
        }
    }

    /// <summary>PostgreSQL: pgbench's sums are balanced, each committed transaction is there once, amcheck and checksums of all pages find nothing.</summary>
    public void Postgres(string place)
    {
        (string there, string onHost) = Place(place);
        Shell.Check($"chown postgres:postgres {onHost} && chmod 700 {onHost}", "/");
        string logs = Directory.CreateDirectory(Path.Combine(pair.Pair.Folder, $"logs-{place}")).FullName;
        Shell.Check($"chmod 777 {logs}", "/");
        Eventually.True(() => ExternalProgram.Check("stat", ["-c", "%U %a", there], Patience).Trim() == "postgres 700", Pair.Limit, "the owner on the mount");
        Lab.Postgres.Init(there);
        using var postgres = new Postgres(logs);
        postgres.Start(there);
        postgres.MakeBench(scale: 1);
        using (RunningProgram bench = postgres.StartBench(seconds, logs))
        {
            Assert.IsTrue(bench.WaitForExit(Limit), "pgbench hangs");
            Assert.AreEqual(0, bench.ExitCode, bench.Error);
        }

        long told = Directory.GetFiles(logs, "transactions*").Sum(file => File.ReadLines(file).LongCount());
        string[] sums = postgres.Query(
            "select (select sum(abalance) from pgbench_accounts), (select sum(tbalance) from pgbench_tellers), (select sum(bbalance) from pgbench_branches), (select coalesce(sum(delta), 0) from pgbench_history), (select count(*) from pgbench_history)")
            .Split('|');
        Assert.AreEqual(1, sums.Take(4).Distinct().Count(), $"accounts, tellers, branches, history: {string.Join(' ', sums)}");
        Assert.AreEqual(told.ToString(CultureInfo.InvariantCulture), sums[4], "transactions that were told to be committed, and those that are there");
        postgres.Check();
        postgres.Stop();
        Lab.Postgres.CheckPages(onHost);
    }

    // Where in the kernel a program's threads are.
    private static string Where(RunningProgram program) => program.HasExited
        ? $"{program.Id} has ended"
        : string.Join('\n', Directory.GetDirectories($"/proc/{program.Id}/task").Select(task => $"{task}:\n{File.ReadAllText(task + "/stack")}"));

    private (string There, string OnHost) Place(string name)
    {
        string there = Directory.CreateDirectory(Path.Combine(pair.Mount, name)).FullName;
        return (there, Path.Combine(pair.Pair.ExportRoot, name));
    }

    /// <summary>Waits for programs that must succeed; the last line of each.</summary>
    private string[] RunAll(params RunningProgram[] programs)
    {
        try
        {
            foreach (RunningProgram program in programs)
            {
                if (!program.WaitForExit(Limit))
                {
                    Assert.Fail($"hangs: {program.CommandLine}\n{string.Join('\n', programs.Select(Where))}\n{pair.Pair.Runtime.Ctl("stats", "--json").Output}\n{program.Output}{program.Error}");
                }

                Assert.AreEqual(0, program.ExitCode, $"{program.CommandLine}\n{program.Output}{program.Error}");
            }

            return [.. programs.Select(program => program.Output.TrimEnd('\n').Split('\n')[^1])];
        }
        finally
        {
            Array.ForEach(programs, program => program.Dispose());
        }
    }
}
