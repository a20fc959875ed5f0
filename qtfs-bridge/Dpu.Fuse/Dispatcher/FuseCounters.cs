using Dpu.Fuse.Wire;

namespace Dpu.Fuse;

/// <summary>Counts requests by opcode. Lock-free: threads add in cells of their own, a reader sums them.</summary>
public sealed class FuseCounters
{
    /// <summary>Opcodes from here on, which Linux does not have yet, share the last row.</summary>
    private const int Opcodes = 64;

    /// <summary>Threads that share a cell only slow each other down; a server has few.</summary>
    private const int Cells = 16;

    private const int RequestCell = 0;
    private const int ErrorCell = 1;
    private const int Columns = 2;
    private const int CellSize = Opcodes * Columns;

    private readonly long[] _counts = new long[Cells * CellSize];
    private long _violations;
    private long _bugs;

    /// <summary>Messages so malformed that their connection had to end.</summary>
    public long Violations => Volatile.Read(ref _violations);

    /// <summary>Exceptions that came out of the file system, and values that no file system may return.</summary>
    public long Bugs => Volatile.Read(ref _bugs);

    /// <summary>The requests so far and how many of them were answered with an errno, for each opcode that came.</summary>
    public IReadOnlyList<FuseOpcodeCount> Snapshot()
    {
        var result = new List<FuseOpcodeCount>();
        for (int opcode = 0; opcode < Opcodes; opcode++)
        {
            long requests = Sum(opcode, RequestCell);
            if (requests != 0)
            {
                result.Add(new FuseOpcodeCount((fuse_opcode)opcode, requests, Sum(opcode, ErrorCell)));
            }
        }

        return result;
    }

    internal void Count(uint opcode, bool failed)
    {
        int index = (Environment.CurrentManagedThreadId % Cells * CellSize) + ((int)Math.Min(opcode, Opcodes - 1) * Columns);
        Interlocked.Increment(ref _counts[index + RequestCell]);
        if (failed)
        {
            Interlocked.Increment(ref _counts[index + ErrorCell]);
        }
    }

    internal void CountViolation() => Interlocked.Increment(ref _violations);

    internal void CountBug() => Interlocked.Increment(ref _bugs);

    private long Sum(int opcode, int column)
    {
        long sum = 0;
        for (int cell = 0; cell < Cells; cell++)
        {
            sum += Volatile.Read(ref _counts[(cell * CellSize) + (opcode * Columns) + column]);
        }

        return sum;
    }
}

/// <summary>How often an opcode came.</summary>
/// <param name="Opcode">The opcode; 63 stands for every one that Linux 6.18 does not have.</param>
/// <param name="Requests">How many requests.</param>
/// <param name="Errors">How many were answered with an errno, ENOENT of a look-up included.</param>
public readonly record struct FuseOpcodeCount(fuse_opcode Opcode, long Requests, long Errors);
