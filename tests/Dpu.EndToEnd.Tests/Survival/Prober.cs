using System.Buffers.Binary;
using System.Globalization;

namespace Dpu.EndToEnd.Tests.Survival;

/// <summary>Stress/prober.c on a mount: an operation of each kind every 2 ms, and how long each stood still.</summary>
internal sealed class Prober : IDisposable
{
    /// <summary>The kinds of operations, in the order of the program's.</summary>
    public static readonly string[] Kinds = ["getattr", "read", "create"];

    private const int BytesAKind = 64;
    private readonly RunningProgram _program;
    private readonly string _state;
    private readonly string _log;

    /// <summary>Starts one.</summary>
    /// <param name="program">As compiled.</param>
    /// <param name="mount">Where it works; it makes a folder there.</param>
    /// <param name="folder">For its files.</param>
    public Prober(string program, string mount, string folder)
    {
        _state = Path.Combine(folder, "prober.state");
        _log = Path.Combine(folder, "prober.log");
        string directory = Directory.CreateDirectory(Path.Combine(mount, "prober")).FullName;
        _program = RunningProgram.Start(program, [directory, _state, _log]);
        Eventually.True(() => _program.HasExited || Counts().All(count => count > 0), Pair.Limit, "the prober's first operations");
        Assert.IsFalse(_program.HasExited, _program.Error);
    }

    /// <summary>How many operations of each kind have ended.</summary>
    public long[] Counts() => Read(2 * sizeof(long));

    /// <summary>How many of them were not as they must be.</summary>
    public long[] Failed() => Read(3 * sizeof(long));

    /// <summary>Nanoseconds that all operations of each kind took.</summary>
    public long[] Took() => Read(4 * sizeof(long));

    /// <summary>The kinds of which no operation has begun and ended since a time: those that stand still.</summary>
    public string[] StandingStill(long since)
    {
        // One that ended may have begun before: the next one has begun after that.
        long[] begun = Read(0), ended = Read(sizeof(long));
        return [.. Kinds.Index().Where(kind => begun[kind.Index] <= since || ended[kind.Index] <= since).Select(kind => kind.Item)];
    }

    /// <summary>Every operation that took 1 ms or more, or was wrong.</summary>
    public IReadOnlyList<Operation> Slow() =>
        [.. File.ReadLines(_log).Select(line => line.Split(' ')).Where(words => words.Length == 5).Select(words => new Operation(
            words[0], long.Parse(words[1], CultureInfo.InvariantCulture), long.Parse(words[2], CultureInfo.InvariantCulture), words[3], words[4]))];

    /// <summary>Says for each fault how long operations stood still that were under way in it or right behind it.</summary>
    public static void Attribute(IReadOnlyList<FaultRecord> faults, IReadOnlyList<Operation> slow)
    {
        foreach ((int index, FaultRecord fault) in faults.Index())
        {
            // What hits an operation after its answer's way back is seen by the next one.
            long until = fault.Back + 100_000_000;
            if (index + 1 < faults.Count)
            {
                until = Math.Min(until, faults[index + 1].Gone);
            }

            foreach (string kind in Kinds)
            {
                fault.Stalls[kind] = slow.Where(one => one.Kind == kind && one.Begin < until && one.Begin + one.Took > fault.Gone)
                    .Select(one => one.Took / 1e6).DefaultIfEmpty(0).Max();
            }
        }
    }

    public void Dispose()
    {
        _program.Dispose();
        File.Delete(_log);
    }

    private long[] Read(int at)
    {
        if (!File.Exists(_state))
        {
            return new long[Kinds.Length];
        }

        byte[] bytes = File.ReadAllBytes(_state);
        return [.. Kinds.Index().Select(kind => (kind.Index + 1) * BytesAKind <= bytes.Length
            ? BinaryPrimitives.ReadInt64LittleEndian(bytes.AsSpan((kind.Index * BytesAKind) + at))
            : 0)];
    }
}

/// <summary>One of the prober's.</summary>
/// <param name="Kind">Of <see cref="Prober.Kinds"/>.</param>
/// <param name="Begin">When it began, in ns of CLOCK_MONOTONIC.</param>
/// <param name="Took">Nanoseconds.</param>
/// <param name="Error">The errno's name, or 0.</param>
/// <param name="Wrong">What was wrong, or "-".</param>
internal sealed record Operation(string Kind, long Begin, long Took, string Error, string Wrong);
