using Dpu.Flows.Text;
using Dpu.Reconciler.Diff;
using Dpu.Reconciler.Records;
using Dpu.Reconciler.Repair;
using Dpu.Reconciler.Reports;
using Microsoft.Data.Sqlite;

namespace Dpu.Reconciler.History;

/// <summary>
/// Reports of passes in an SQLite database, with retention by age and number. Several processes may use one file: a writer waits at most
/// <see cref="BusySeconds"/> for another. Each pass is one transaction, so that none is there in part. One thread at a time.
/// </summary>
public sealed class ReconcileHistory : IDisposable
{
    /// <summary>Where a runtime keeps it.</summary>
    public const string DefaultFile = "/var/lib/dpu/reconcile.db";

    /// <summary>Passes that are kept where nothing else is said: a week of one a minute.</summary>
    public const int DefaultPasses = 10_000;

    /// <summary>Differences of one pass that are kept in words: the counts have all.</summary>
    public const int MaxDifferences = 1000;

    /// <summary>How long one waits for another process, in seconds.</summary>
    public const int BusySeconds = 5;

    /// <summary>Of the tables: raised with each change of them.</summary>
    public const int Version = 1;

    /// <summary>How long passes are kept where nothing else is said.</summary>
    public static readonly TimeSpan DefaultAge = TimeSpan.FromDays(30);

    private const string Schema = """
        CREATE TABLE passes(
            id INTEGER PRIMARY KEY AUTOINCREMENT, time INTEGER NOT NULL, microseconds INTEGER NOT NULL, desired TEXT NOT NULL, actual TEXT NOT NULL,
            desired_flows INTEGER NOT NULL, actual_flows INTEGER NOT NULL, agree INTEGER NOT NULL, found INTEGER NOT NULL, remaining INTEGER NOT NULL,
            applied INTEGER NOT NULL, refused TEXT, added INTEGER NOT NULL, replaced INTEGER NOT NULL, deleted INTEGER NOT NULL, failed INTEGER NOT NULL, error TEXT);
        CREATE INDEX passes_pair ON passes(actual, desired, id);
        CREATE INDEX passes_time ON passes(time);
        CREATE TABLE categories(pass INTEGER NOT NULL REFERENCES passes(id) ON DELETE CASCADE, word TEXT NOT NULL, found INTEGER NOT NULL, remaining INTEGER NOT NULL, PRIMARY KEY(pass, word)) WITHOUT ROWID;
        CREATE TABLE differences(pass INTEGER NOT NULL REFERENCES passes(id) ON DELETE CASCADE, number INTEGER NOT NULL, word TEXT NOT NULL, desired TEXT, actual TEXT, reason TEXT NOT NULL, PRIMARY KEY(pass, number)) WITHOUT ROWID;
        """;

    private readonly SqliteConnection _connection;
    private readonly string _file;
    private readonly TimeSpan _age;
    private readonly int _passes;

    private ReconcileHistory(SqliteConnection connection, string file, TimeSpan age, int passes) => (_connection, _file, _age, _passes) = (connection, file, age, passes);

    /// <summary>Opens a history, and makes it where there is none.</summary>
    /// <param name="file">Its file; its folder is there.</param>
    /// <param name="age">Older passes go with the next one that is added; null for <see cref="DefaultAge"/>.</param>
    /// <param name="passes">More go likewise, the oldest first.</param>
    /// <param name="readOnly">Nothing is made or changed.</param>
    /// <exception cref="HistoryException">It cannot be opened, or is none, or one of a later version.</exception>
    public static ReconcileHistory Open(string file, TimeSpan? age = null, int passes = DefaultPasses, bool readOnly = false)
    {
        ArgumentException.ThrowIfNullOrEmpty(file);
        if (readOnly && !File.Exists(file))
        {
            throw new HistoryException($"there is no history at {file}: 'dpuctl reconcile --history {file}' makes one");
        }

        if (!readOnly && !File.Exists(file))
        {
            Create(file);
        }

        SqliteConnection connection = new(new SqliteConnectionStringBuilder
        {
            DataSource = file,
            Mode = readOnly ? SqliteOpenMode.ReadOnly : SqliteOpenMode.ReadWrite,
            Pooling = false,
            ForeignKeys = true,
            DefaultTimeout = BusySeconds,
        }.ConnectionString);
        ReconcileHistory history = new(connection, file, age ?? DefaultAge, passes);
        try
        {
            history.Try("open", () =>
            {
                connection.Open();
                history.Prepare(readOnly);
            });
            return history;
        }
        catch (HistoryException)
        {
            history.Dispose();
            throw;
        }
    }

    /// <summary>Adds a pass, and lets go of those that are too old or too many; its number.</summary>
    /// <exception cref="HistoryException">It cannot be written.</exception>
    public long Add(PassReport report)
    {
        ArgumentNullException.ThrowIfNull(report);
        DiffResult found = report.Found;
        return Add(
            new PassRecord(0, report.Time, report.Duration, report.Names.Desired, report.Names.Actual)
            {
                DesiredFlows = found.Desired.Count,
                ActualFlows = found.Actual.Count,
                Agree = found.InStep,
                Found = found.Problems,
                Remaining = report.Remaining.Problems,
                Applied = report.Applied,
                Refused = report.Refused,
                Counts = report.Counts,
                Categories = TextReport.Counts(found).Zip(TextReport.Counts(report.Remaining)).Where(c => c.First.Count + c.Second.Count > 0)
                    .ToDictionary(c => c.First.Word, c => ((long)c.First.Count, (long)c.Second.Count), StringComparer.Ordinal),
            },
            found.Differences.Take(MaxDifferences).Select(d => new StoredDifference(d.Word, Text(found.Desired, d.Desired), Text(found.Actual, d.Actual), d.Reason)));
    }

    /// <summary>Adds a pass that failed; its number.</summary>
    /// <exception cref="HistoryException">It cannot be written.</exception>
    public long AddFailure(DateTimeOffset time, TimeSpan duration, (string Desired, string Actual) names, string error) =>
        Add(new PassRecord(0, time, duration, names.Desired, names.Actual) { Error = error }, []);

    /// <summary>The last passes, the latest first.</summary>
    /// <param name="limit">So many at most.</param>
    /// <param name="actual">Only of this actual side; null for all.</param>
    /// <param name="desired">Only of this desired side; null for all.</param>
    /// <exception cref="HistoryException">It cannot be read.</exception>
    public IReadOnlyList<PassRecord> List(int limit, string? actual = null, string? desired = null) =>
        Read("SELECT * FROM passes WHERE ($actual IS NULL OR actual = $actual) AND ($desired IS NULL OR desired = $desired) ORDER BY id DESC LIMIT $limit", ("$actual", actual), ("$desired", desired), ("$limit", limit));

    /// <summary>One pass; null where it is not there.</summary>
    /// <exception cref="HistoryException">It cannot be read.</exception>
    public PassRecord? Find(long id) => Read("SELECT * FROM passes WHERE id = $id", ("$id", id)).FirstOrDefault();

    /// <summary>Differences of a pass, in the order of its report, <see cref="MaxDifferences"/> at most.</summary>
    /// <exception cref="HistoryException">It cannot be read.</exception>
    public IReadOnlyList<StoredDifference> Differences(long id) => Try("read", () =>
    {
        using SqliteCommand command = Command("SELECT word, desired, actual, reason FROM differences WHERE pass = $id ORDER BY number", ("$id", id));
        using SqliteDataReader reader = command.ExecuteReader();
        List<StoredDifference> found = [];
        while (reader.Read())
        {
            found.Add(new StoredDifference(reader.GetString(0), reader.IsDBNull(1) ? null : reader.GetString(1), reader.IsDBNull(2) ? null : reader.GetString(2), reader.GetString(3)));
        }

        return found;
    });

    /// <summary>Points of a chart over time: the last passes of a pair of sides that did not fail, the oldest first.</summary>
    /// <exception cref="HistoryException">It cannot be read.</exception>
    public IReadOnlyList<PassPoint> Points(string desired, string actual, int limit) =>
        [.. List(limit, actual, desired).Where(p => p.Error is null).Reverse().Select(p => new PassPoint(p.Time, (int)p.Found, (int)p.Remaining))];

    /// <inheritdoc/>
    public void Dispose() => _connection.Dispose();

    // A file of the owner's alone: flows tell how a network is made.
    private static void Create(string file)
    {
        try
        {
            using FileStream made = new(file, new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.Write, UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite });
        }
        catch (IOException) when (File.Exists(file))
        {
            // Expected: another process made it first.
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new HistoryException($"cannot make the history {file}: {e.Message}; its folder must be there and writable", e);
        }
    }

    private static string? Text(FlowSet flows, int flow) => flow < 0 || flows.IsForeign(flow) ? null : OpenFlowText.Format(flows.Definition(flow));

    private void Prepare(bool readOnly)
    {
        if (!readOnly)
        {
            // Readers and the writer do not wait for each other. Read-only users find what the writer chose.
            Execute("PRAGMA journal_mode = WAL");
            Execute("PRAGMA synchronous = NORMAL");
        }

        long version = Scalar("PRAGMA user_version");
        if (version == 0 && !readOnly)
        {
            using SqliteTransaction transaction = _connection.BeginTransaction(deferred: false);
            if (Scalar("PRAGMA user_version") == 0)
            {
                Execute(Schema);
                Execute($"PRAGMA user_version = {Version}");
            }

            transaction.Commit();
            version = Version;
        }

        if (version != Version)
        {
            throw new HistoryException(version == 0 ? $"{_file} is an SQLite database, and no history of reconciling" : $"the history {_file} has version {version}, and this program knows {Version}: use a later dpuctl, or another file");
        }
    }

    private long Add(PassRecord pass, IEnumerable<StoredDifference> differences) => Try("write", () =>
    {
        using SqliteTransaction transaction = _connection.BeginTransaction(deferred: false);
        Execute(
            """
            INSERT INTO passes(time, microseconds, desired, actual, desired_flows, actual_flows, agree, found, remaining, applied, refused, added, replaced, deleted, failed, error)
            VALUES($time, $microseconds, $desired, $actual, $desiredFlows, $actualFlows, $agree, $found, $remaining, $applied, $refused, $added, $replaced, $deleted, $failed, $error)
            """,
            ("$time", pass.Time.ToUnixTimeMilliseconds()), ("$microseconds", (long)pass.Duration.TotalMicroseconds), ("$desired", pass.Desired), ("$actual", pass.Actual), ("$desiredFlows", pass.DesiredFlows),
            ("$actualFlows", pass.ActualFlows), ("$agree", pass.Agree), ("$found", pass.Found), ("$remaining", pass.Remaining), ("$applied", pass.Applied), ("$refused", pass.Refused),
            ("$added", pass.Counts.Added), ("$replaced", pass.Counts.Replaced), ("$deleted", pass.Counts.Deleted), ("$failed", pass.Counts.Failed), ("$error", pass.Error));
        long id = Scalar("SELECT last_insert_rowid()");
        foreach ((string word, (long found, long remaining)) in pass.Categories)
        {
            Execute("INSERT INTO categories VALUES($pass, $word, $found, $remaining)", ("$pass", id), ("$word", word), ("$found", found), ("$remaining", remaining));
        }

        int number = 0;
        foreach (StoredDifference difference in differences)
        {
            Execute(
                "INSERT INTO differences VALUES($pass, $number, $word, $desired, $actual, $reason)",
                ("$pass", id), ("$number", ++number), ("$word", difference.Word), ("$desired", difference.Desired), ("$actual", difference.Actual), ("$reason", difference.Reason));
        }

        Execute(
            "DELETE FROM passes WHERE time < $oldest OR id <= (SELECT id FROM passes ORDER BY id DESC LIMIT 1 OFFSET $passes)",
            ("$oldest", (pass.Time - _age).ToUnixTimeMilliseconds()), ("$passes", _passes));
        transaction.Commit();
        return id;
    });

    private List<PassRecord> Read(string sql, params (string Name, object? Value)[] values) => Try("read", () =>
    {
        List<PassRecord> passes = [];
        using (SqliteCommand command = Command(sql, values))
        using (SqliteDataReader reader = command.ExecuteReader())
        {
            while (reader.Read())
            {
                passes.Add(Pass(reader));
            }
        }

        return passes.ConvertAll(pass => pass with { Categories = CategoriesOf(pass.Id) });
    });

    private static PassRecord Pass(SqliteDataReader reader)
    {
        long Number(string name) => reader.GetInt64(reader.GetOrdinal(name));
        string? Text(string name) => reader.IsDBNull(reader.GetOrdinal(name)) ? null : reader.GetString(reader.GetOrdinal(name));
        return new PassRecord(Number("id"), DateTimeOffset.FromUnixTimeMilliseconds(Number("time")), TimeSpan.FromMicroseconds(Number("microseconds")), Text("desired")!, Text("actual")!)
        {
            DesiredFlows = Number("desired_flows"),
            ActualFlows = Number("actual_flows"),
            Agree = Number("agree"),
            Found = Number("found"),
            Remaining = Number("remaining"),
            Applied = Number("applied") != 0,
            Refused = Text("refused"),
            Counts = new RepairCounts((int)Number("added"), (int)Number("replaced"), (int)Number("deleted"), (int)Number("failed")),
            Error = Text("error"),
        };
    }

    private Dictionary<string, (long Found, long Remaining)> CategoriesOf(long id)
    {
        using SqliteCommand command = Command("SELECT word, found, remaining FROM categories WHERE pass = $id", ("$id", id));
        using SqliteDataReader reader = command.ExecuteReader();
        Dictionary<string, (long, long)> found = new(StringComparer.Ordinal);
        while (reader.Read())
        {
            found.Add(reader.GetString(0), (reader.GetInt64(1), reader.GetInt64(2)));
        }

        return found;
    }

    private SqliteCommand Command(string sql, params (string Name, object? Value)[] values)
    {
        SqliteCommand command = _connection.CreateCommand();
#pragma warning disable CA2100 // Every text is a constant of this class; values are parameters.
        command.CommandText = sql;
#pragma warning restore CA2100
        foreach ((string name, object? value) in values)
        {
            _ = command.Parameters.AddWithValue(name, value ?? DBNull.Value);
        }

        return command;
    }

    private void Execute(string sql, params (string Name, object? Value)[] values)
    {
        using SqliteCommand command = Command(sql, values);
        _ = command.ExecuteNonQuery();
    }

    private long Scalar(string sql)
    {
        using SqliteCommand command = Command(sql);
        return (long)command.ExecuteScalar()!;
    }

    private void Try(string what, Action action) => Try(what, () =>
    {
        action();
        return 0;
    });

    private T Try<T>(string what, Func<T> action)
    {
        try
        {
            return action();
        }
        catch (SqliteException e)
        {
            string remedy = e.SqliteErrorCode switch
            {
                5 or 6 => $"; another process has used it for more than {BusySeconds} s",
                8 => "; it may only be read",
                11 or 26 => "; move it away to begin a new one",
                13 => "; make room on the disk",
                _ => "",
            };
            throw new HistoryException($"cannot {what} the history {_file}: {e.Message}{remedy}", e);
        }
    }
}
