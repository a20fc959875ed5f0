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
/// Flows' states by index, in pinned chunks that never move, and beside them a bit for each flow that is there, the number of its
/// table, and a bit for each that was hit since the bits were last taken.
/// </summary>
internal sealed unsafe class FlowStates
{
    internal const int ChunkShift = 14;
    internal const int ChunkFlows = 1 << ChunkShift;

    private readonly ulong[] _pointerMemory;
    private readonly List<byte[]> _chunks = [];
    private readonly ActivityBits[] _active; // By chunk.
    private readonly int _max;

    internal FlowStates(int maxFlows)
    {
        _max = maxFlows;
        _pointerMemory = GC.AllocateArray<ulong>(((maxFlows + ChunkFlows - 1) >> ChunkShift) + 1, pinned: true);
        _active = new ActivityBits[_pointerMemory.Length];
    }

    /// <summary>Flows that there is memory for.</summary>
    internal int Capacity => _chunks.Count << ChunkShift;

    internal long Size => _chunks.Count == 0 ? 0 : _chunks.Count * (ChunkSize + _active[0].Size);

    private static int ChunkSize => (ChunkFlows * (sizeof(FlowState) + 1)) + (ChunkFlows / 8) + 64;

    internal FlowState* At(uint index) => (FlowState*)Chunk(index) + (index & (ChunkFlows - 1));

    internal ref byte TableOf(uint index) => ref Chunk(index)[(ChunkFlows * sizeof(FlowState)) + (int)(index & (ChunkFlows - 1))];

    /// <summary>The word with the bit of a flow that is there.</summary>
    internal ref ulong Live(uint index) =>
        ref ((ulong*)(Chunk(index) + (ChunkFlows * (sizeof(FlowState) + 1))))[(index & (ChunkFlows - 1)) >> 6];

    internal bool IsLive(uint index) => index < (uint)Capacity && ((Live(index) >> (int)(index & 63)) & 1) != 0;

    internal void SetLive(uint index, bool live)
    {
        ulong bit = 1ul << (int)(index & 63);
        Live(index) = live ? Live(index) | bit : Live(index) & ~bit;
        _active[index >> ChunkShift].Unset((int)(index & (ChunkFlows - 1)));
    }

    /// <summary>Counts a packet. Any thread.</summary>
    internal void Count(uint index, int bytes, uint now)
    {
        FlowState* state = At(index);
        Interlocked.Increment(ref state->Packets);
        Interlocked.Add(ref state->Bytes, (ulong)bytes);
        Volatile.Write(ref state->Used, now);
        _active[index >> ChunkShift].Set((int)(index & (ChunkFlows - 1)));
    }

    /// <summary>Reads which flows were hit, from an index on, a multiple of 64; all of them are there.</summary>
    internal void ReadActivity(int first, Span<ulong> bits, bool clear)
    {
        while (!bits.IsEmpty)
        {
            int read = _active[first >> ChunkShift].Read((first & (ChunkFlows - 1)) >> 6, bits, clear);
            bits = bits[read..];
            first += read * 64;
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
        _active[_chunks.Count] = new ActivityBits(ChunkFlows);
        _chunks.Add(chunk);
    }

    // SAFETY: an index is below Capacity; a chunk is states, table numbers, then the bits of those that are there.
    private byte* Chunk(uint index) => (byte*)_pointerMemory[index >> ChunkShift];
}
