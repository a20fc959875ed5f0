using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Dpu.Flows.Table;

/// <summary>What a flow does and what is done with its packets: 48 bytes. Readers count; all else is the writer's.</summary>
[StructLayout(LayoutKind.Sequential, Size = 48)]
internal struct FlowState
{
    internal ulong Cookie;
    internal ulong Packets;
    internal ulong Bytes;

    /// <summary>Ticks of the table's clock (<see cref="FlowClock"/>).</summary>
    internal uint Created;
    internal uint Used;

    /// <summary>In the <see cref="ActionStore"/>; readers read it once.</summary>
    internal uint Actions;
    internal uint Rule;
    internal uint Generation;
    internal ushort IdleTimeout;
    internal ushort HardTimeout;
}

/// <summary>Time in sixteenths of a second since the table was made, in 32 bits: 8 years, and a step that no time-out notices.</summary>
internal sealed class FlowClock(TimeProvider time)
{
    internal const int TicksPerSecond = 16;

    private readonly long _start = time.GetTimestamp();

    internal uint Now => (uint)(time.GetElapsedTime(_start).Ticks / (TimeSpan.TicksPerSecond / TicksPerSecond));

    internal static TimeSpan Span(uint ticks) => TimeSpan.FromTicks(ticks * (TimeSpan.TicksPerSecond / TicksPerSecond));
}

/// <summary>
/// Flows' states by index, in pinned chunks that never move, and beside them a bit for each flow that is there, a bit for each
/// that was hit since the bits were last taken, and the number of its table.
/// </summary>
internal sealed unsafe class FlowStates
{
    internal const int ChunkShift = 14;
    internal const int ChunkFlows = 1 << ChunkShift;

    private readonly ulong[] _pointerMemory;
    private readonly List<byte[]> _chunks = [];
    private readonly int _max;

    internal FlowStates(int maxFlows)
    {
        _max = maxFlows;
        _pointerMemory = GC.AllocateArray<ulong>(((maxFlows + ChunkFlows - 1) >> ChunkShift) + 1, pinned: true);
    }

    /// <summary>Flows that there is memory for.</summary>
    internal int Capacity => _chunks.Count << ChunkShift;

    internal long Size => (long)_chunks.Count * ChunkSize;

    private static int ChunkSize => (ChunkFlows * (sizeof(FlowState) + 1)) + (ChunkFlows / 8 * 2) + 64;

    internal FlowState* At(uint index) => (FlowState*)Chunk(index) + (index & (ChunkFlows - 1));

    internal ref byte TableOf(uint index) => ref Chunk(index)[(ChunkFlows * sizeof(FlowState)) + (int)(index & (ChunkFlows - 1))];

    /// <summary>The word with the bit of a flow that is there.</summary>
    internal ref ulong Live(uint index) => ref Bits(index, 0);

    /// <summary>The word with the bit of a flow that was hit.</summary>
    internal ref ulong Active(uint index) => ref Bits(index, 1);

    internal bool IsLive(uint index) => index < (uint)Capacity && ((Live(index) >> (int)(index & 63)) & 1) != 0;

    internal void SetLive(uint index, bool live)
    {
        ulong bit = 1ul << (int)(index & 63);
        Live(index) = live ? Live(index) | bit : Live(index) & ~bit;
        Interlocked.And(ref Active(index), ~bit);
    }

    /// <summary>Counts a packet. Any thread.</summary>
    internal void Count(uint index, int bytes, uint now)
    {
        FlowState* state = At(index);
        Interlocked.Increment(ref state->Packets);
        Interlocked.Add(ref state->Bytes, (ulong)bytes);
        Volatile.Write(ref state->Used, now);

        // Mostly the bit is set already, and the line with the bits stays shared.
        ref ulong word = ref Active(index);
        ulong bit = 1ul << (int)(index & 63);
        if ((Volatile.Read(ref word) & bit) == 0)
        {
            Interlocked.Or(ref word, bit);
        }
    }

    internal void Grow()
    {
        if (Capacity >= _max)
        {
            throw new InvalidOperationException("a flow table's states are at their bound");
        }

        byte[] chunk = GC.AllocateArray<byte>(ChunkSize, pinned: true);

        // SAFETY: pinned, held by the list, and 64 bytes longer than needed.
        _pointerMemory[_chunks.Count] = ((ulong)Unsafe.AsPointer(ref chunk[0]) + 63) & ~63ul;
        _chunks.Add(chunk);
    }

    // SAFETY (all): an index is below Capacity; a chunk is states, table numbers, then both bitmaps.
    private byte* Chunk(uint index) => (byte*)_pointerMemory[index >> ChunkShift];

    private ref ulong Bits(uint index, int which) =>
        ref ((ulong*)(Chunk(index) + (ChunkFlows * (sizeof(FlowState) + 1)) + (which * (ChunkFlows / 8))))[(index & (ChunkFlows - 1)) >> 6];
}
