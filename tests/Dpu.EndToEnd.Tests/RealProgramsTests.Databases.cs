using System.Globalization;

namespace Dpu.EndToEnd.Tests;

// Databases: they know what they have been told is on the disk.
public sealed partial class RealProgramsTests
{
    [TestMethod]
    [TestCategory("interop")]
    [DataRow(ThreeMounts.None)]
    [DataRow(ThreeMounts.Coherent)]
    public void Postgres_KilledInTheMiddle_HasWhatItCommitted_AlsoStartedOnTheHost(string cache)
    {
        (string there, string onHost) = s_mounts.Place(cache, "postgres");
        Shell.Check($"chown postgres:postgres {onHost} && chmod 700 {onHost}", "/");
        string logs = Directory.CreateDirectory(Path.Combine(s_mounts.Folder, $"pg-{cache}")).FullName;
        Shell.Check($"chmod 777 {logs}", "/");
        Postgres.Init(there);
        using var postgres = new Postgres(logs);
        postgres.Start(there);
        postgres.MakeBench(scale: 1);

        using (RunningProgram bench = postgres.StartBench(seconds: 60, logs))
        {
            Eventually.True(() => Transactions(postgres) > 200, Limit, "some transactions");
            postgres.Kill();
            Assert.IsTrue(bench.WaitForExit(Limit), "pgbench goes on without its server");
        }

        int told = Directory.GetFiles(logs, "transactions*").Sum(file => File.ReadLines(file).Count());
        postgres.Start(there);
        Assert.Contains("automatic recovery in progress", postgres.Log);
        long kept = Transactions(postgres);
        Console.WriteLine($"{told} transactions were told to be committed, {kept} are there");
        Assert.IsGreaterThan(200, told);

        // Each client may have had one committed that it was not told of any more.
        Assert.IsInRange(told, told + 4, kept);
        AssertBalanced(postgres);
        postgres.Check();
        postgres.Stop();

        // The host's own server on the same files, which works on; then the DPU's again.
        Postgres.CheckPages(onHost);
        postgres.Start(onHost);
        AssertBalanced(postgres);
        Assert.AreEqual(kept, Transactions(postgres));
        Bench(postgres, logs);
        long more = Transactions(postgres);
        Assert.IsGreaterThan(kept, more);
        postgres.Stop();
        postgres.Start(there);
        Assert.AreEqual(more, Transactions(postgres), "what the host's server committed");
        AssertBalanced(postgres);
        Bench(postgres, logs);
        postgres.Check();
        AssertBalanced(postgres);
        postgres.Stop();
        Postgres.CheckPages(onHost);
    }

    // Writers on both sides at once, each with rows of its own, and one number that all of them raise.
    [TestMethod]
    [TestCategory("interop")]
    [DataRow(ThreeMounts.None, "delete")]
    [DataRow(ThreeMounts.Coherent, "delete")]
    [DataRow(ThreeMounts.None, "persist")]
    [DataRow(ThreeMounts.Coherent, "persist")]
    public void Sqlite_WritersOnTheDpuAndTheHost_LoseNoRow(string cache, string journal)
    {
        (string there, string onHost) = s_mounts.Place(cache, $"sqlite-{journal}");
        WriteSqlite(journal, onHost, [there, onHost, there]);
        foreach (string side in (string[])[there, onHost])
        {
            Assert.AreEqual("ok 150 150 50 50 50", CheckSqlite(side));
        }
    }

    // A write-ahead log needs shared memory, so all its writers are of one machine: here the DPU.
    [TestMethod]
    [TestCategory("interop")]
    [DataRow(ThreeMounts.None)]
    [DataRow(ThreeMounts.Coherent)]
    public void Sqlite_WithAWriteAheadLog_TwoWritersOnTheDpu_LoseNoRow(string cache)
    {
        (string there, string onHost) = s_mounts.Place(cache, "sqlite-wal");
        WriteSqlite("wal", there, [there, there]);
        Assert.AreEqual("ok 100 100 50 50", CheckSqlite(there));
        Assert.AreEqual("ok 100 100 50 50", CheckSqlite(onHost));
    }

    private static void WriteSqlite(string journal, string makeIn, string[] writers)
    {
        Shell.Python(
            $"""
            import sqlite3
            d = sqlite3.connect('n.db')
            d.execute('pragma journal_mode={journal}')
            d.execute('create table n (v int)')
            d.execute('insert into n values (0)')
            d.execute('create table rows (writer int, i int, hash text, content blob, primary key (writer, i))')
            d.commit()
            """,
            makeIn);
        RunningProgram[] running = [.. writers.Select((where, writer) => Shell.StartPython(
            $"""
            import hashlib, random, sqlite3
            d = sqlite3.connect('n.db', timeout=60, isolation_level=None)
            d.execute('pragma journal_mode={journal}')
            for i in range(50):
                content = random.randbytes(random.randrange(9000))
                d.execute('begin immediate')
                v, = d.execute('select v from n').fetchone()
                d.execute('update n set v = ?', (v + 1,))
                d.execute('insert into rows values (?, ?, ?, ?)', ({writer.ToString(CultureInfo.InvariantCulture)}, i, hashlib.sha256(content).hexdigest(), content))
                d.execute('commit')
            say('done')
            """,
            where))];
        try
        {
            foreach (RunningProgram writer in running)
            {
                Assert.IsTrue(writer.WaitForExit(Limit), "a writer hangs");
                Assert.AreEqual("done", Shell.End(writer).Single());
            }
        }
        finally
        {
            Array.ForEach(running, writer => writer.Dispose());
        }
    }

    // Integrity, the number that was raised, all good rows, and the rows of each writer.
    private static string CheckSqlite(string where) => Shell.Python(
        """
        import hashlib, sqlite3
        d = sqlite3.connect('n.db')
        ok = d.execute('pragma integrity_check').fetchone()[0]
        good = sum(hashlib.sha256(content).hexdigest() == h for h, content in d.execute('select hash, content from rows'))
        say(ok, d.execute('select v from n').fetchone()[0], good, *[c for c, in d.execute('select count(*) from rows group by writer order by writer')])
        """,
        where).Single();

    private static void Bench(Postgres postgres, string logs)
    {
        using RunningProgram bench = postgres.StartBench(seconds: 1, logs);
        Assert.IsTrue(bench.WaitForExit(Limit), "pgbench hangs");
        Assert.AreEqual(0, bench.ExitCode, bench.Error);
    }

    private static long Transactions(Postgres postgres) => long.Parse(postgres.Query("select count(*) from pgbench_history"), CultureInfo.InvariantCulture);

    // Each transaction adds one sum to an account, a teller and a branch, and to the history.
    private static void AssertBalanced(Postgres postgres)
    {
        string[] sums = postgres.Query(
            "select (select sum(abalance) from pgbench_accounts), (select sum(tbalance) from pgbench_tellers), (select sum(bbalance) from pgbench_branches), (select coalesce(sum(delta), 0) from pgbench_history)")
            .Split('|');
        Assert.AreEqual(1, sums.Distinct().Count(), $"accounts, tellers, branches, history: {string.Join(' ', sums)}");
    }
}
