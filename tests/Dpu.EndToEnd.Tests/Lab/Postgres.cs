using System.Globalization;

namespace Dpu.EndToEnd.Tests.Lab;

/// <summary>Debian's PostgreSQL as its own user, with its data where a test says and its socket beside. Killed on <see cref="Dispose"/>.</summary>
internal sealed class Postgres(string sockets) : IDisposable
{
    private const string Programs = "/usr/lib/postgresql/15/bin";
    private const string AsItself = "setpriv --reuid postgres --regid postgres --init-groups";
    private static readonly TimeSpan Limit = TimeSpan.FromMinutes(10);

    private RunningProgram? _server;

    /// <summary>Its client.</summary>
    public const string ClientProgram = Programs + "/psql";

    private string Client => $"-h {sockets} -U postgres";

    /// <summary>Makes a database with checksums of its pages in an empty folder, which must be the user's.</summary>
    public static void Init(string data) =>
        Run($"{AsItself} {Requires.Exists(Programs, "apt-get install postgresql-15, or run './dev test'")}/initdb -D {data} --data-checksums -A trust -U postgres --no-instructions");

    /// <summary>Starts it and waits until it answers, after a recovery where it was killed.</summary>
    public void Start(string data)
    {
        Run($"mkdir -p {sockets} && chmod 777 {sockets}");
        _server = RunningProgram.Start(
            "setpriv",
            [
                "--reuid", "postgres", "--regid", "postgres", "--init-groups", $"{Programs}/postgres", "-D", data, "-k", sockets,
                .. ((string[])["listen_addresses=", "shared_buffers=16MB", "max_wal_size=64MB", "checkpoint_timeout=30s", "log_min_messages=log"]).SelectMany(setting => (string[])["-c", setting]),
            ],
            directory: "/");
        Eventually.True(() => _server.HasExited || ExternalProgram.Run($"{Programs}/pg_isready", ["-q", "-h", sockets], Limit).ExitCode == 0, Limit, "PostgreSQL");
        Assert.IsFalse(_server.HasExited, _server.Error);
    }

    /// <summary>What it has logged since its last start.</summary>
    public string Log => _server!.Error;

    /// <summary>Makes pgbench's tables, of 100,000 accounts for each of the scale.</summary>
    public void MakeBench(int scale) => Run($"{Programs}/pgbench {Client} -i -q -s {scale} postgres");

    /// <summary>Starts pgbench with four clients, and a line in a file of the folder for each transaction that was committed. It keeps the history (-n).</summary>
    public RunningProgram StartBench(int seconds, string folder) => RunningProgram.Start(
        "bash",
        ["-c", $"cd {folder} && exec {AsItself} {Programs}/pgbench {Client} -n -c 4 -j 2 -T {seconds} -l --log-prefix=transactions postgres"]);

    /// <summary>Runs a query; its rows, with '|' between columns.</summary>
    public string Query(string query) => Run($"{AsItself} {ClientProgram} {Client} -v ON_ERROR_STOP=1 -At -c \"{query}\" postgres").Trim();

    /// <summary>Looks at every index and table.</summary>
    public void Check() => Run($"{AsItself} {Programs}/pg_amcheck {Client} --install-missing --heapallindexed postgres");

    /// <summary>The checksums of all pages of a database that is down.</summary>
    public static void CheckPages(string data) => Run($"{AsItself} {Programs}/pg_checksums --check -D {data}");

    /// <summary>Kills the server and all its processes, as a machine does that dies.</summary>
    public void Kill()
    {
        string id = _server!.Id.ToString(CultureInfo.InvariantCulture);
        Run($"kill -KILL {id} $(pgrep -P {id})");
        Assert.IsTrue(_server.WaitForExit(Limit), "PostgreSQL was killed, and is there");
        _server.Dispose();
        _server = null;
    }

    /// <summary>Stops it in order.</summary>
    public void Stop()
    {
        Run($"kill -INT {_server!.Id}");
        Assert.IsTrue(_server.WaitForExit(Limit), $"PostgreSQL does not stop: {_server.Error}");
        Assert.AreEqual(0, _server.ExitCode, _server.Error);
        _server.Dispose();
        _server = null;
    }

    public void Dispose() => _server?.Dispose();

    private static string Run(string program) => ExternalProgram.Check("bash", ["-o", "pipefail", "-ec", program], Limit, directory: "/");
}
