using System.Diagnostics;
using Dpu.Flows.Classifier;
using Dpu.Flows.Keys;
using Dpu.Flows.Table;

namespace Dpu.Flows.Nic;

/// <summary>Packets, counters, dumps and delays.</summary>
public sealed unsafe partial class EmulatedNic
{
    /// <summary>Entries of one step of a dump.</summary>
    public const int DumpStep = 4096;

    /// <summary>A data path of the NIC for one thread.</summary>
    public Port CreatePort() => new(this);

    /// <inheritdoc/>
    public NicDumpStep Dump(long position)
    {
        lock (_lock)
        {
            Delay(Faults.CommandDelay + Faults.DumpDelay);

            // A position is an index and, above it, a part of the count of changes at the begin.
            int index = (int)(position & int.MaxValue);
            long began = position == 0 ? _changes & 0x7fffffff : position >> 32;
            bool interrupted = began != (_changes & 0x7fffffff) || Happens(Faults.InterruptedDump);
            List<NicEntry> entries = [];
            for (; index < Capacity && entries.Count < DumpStep; index++)
            {
                if (_rules[index] != 0)
                {
                    byte* actions = _actions.At(_actionLists[index], out int size);
                    NicFlow flow = new(_cookies[index], _classifier.PriorityOf(_rules[index]), _classifier.MatchOf(_rules[index]), ActionCodec.Decode(actions, size));
                    entries.Add(new NicEntry(HandleOf(index, _generations[index]), index, flow, CountersOf(index)));
                }
            }

            return new NicDumpStep(entries, index == Capacity ? -1 : (began << 32) | (uint)index, interrupted);
        }
    }

    // What a packet does in the table; between Enter and Leave of the port's slot.
    private PacketVerdict Process(uint index, ref FlowKey key, int bytes, Span<uint> outputs, out int written)
    {
        CountHit(index, 1, (ulong)bytes);
        byte* actions = _actions.At(_actionLists[index], out int size);
        written = 0;
        for (int at = 0; at < size;)
        {
            FlowAction action = ActionCodec.Next(actions, ref at);
            switch (action.Kind)
            {
                case FlowActionKind.Output or FlowActionKind.Mirror or FlowActionKind.InPort when written < outputs.Length:
                    outputs[written++] = action.Kind == FlowActionKind.InPort ? key.InPort : action.Argument;
                    break;
                case FlowActionKind.Controller:
                    return PacketVerdict.Controller;
                default:
                    if (!KeyActions.TryApply(action, ref key))
                    {
                        return PacketVerdict.Unfit;
                    }

                    break;
            }
        }

        return written > 0 ? PacketVerdict.Forward : PacketVerdict.Drop;
    }

    private void CountHit(uint index, ulong packets, ulong bytes)
    {
        if (_stuck[index])
        {
            return;
        }

        Interlocked.Add(ref _packets[index], packets);
        Interlocked.Add(ref _bytes[index], bytes);
        _active.Set((int)index);
    }

    /// <summary>Hits the entry without a packet, as traffic that a test or a simulation counts itself.</summary>
    public void Touch(NicHandle handle, int packets, int bytes)
    {
        int index = IndexOf(handle);
        if (index >= 0)
        {
            CountHit((uint)index, (ulong)packets, (ulong)bytes);
        }
    }

    private NicCounters CountersOf(int index)
    {
        if (_told is null)
        {
            return new NicCounters(Volatile.Read(ref _packets[index]), Volatile.Read(ref _bytes[index]));
        }

        TimeSpan now = _time.GetElapsedTime(_start);
        if (now - _toldAt >= Faults.CounterLag)
        {
            _toldAt = now;
            for (int i = 0; i < Capacity; i++)
            {
                _told[i] = new NicCounters(Volatile.Read(ref _packets[i]), Volatile.Read(ref _bytes[i]));
            }
        }

        return _told[index];
    }

    private void Delay(TimeSpan delay)
    {
        if (delay > TimeSpan.Zero)
        {
            _wait(delay);
        }
    }

    // Delays of a NIC are microseconds, which no timer of the system can wait.
    private void Pass(TimeSpan delay)
    {
        long start = _time.GetTimestamp();
        while (_time.GetElapsedTime(start) < delay)
        {
            Thread.SpinWait(10);
        }
    }

    /// <summary>A thread's way of packets through the NIC.</summary>
    public sealed class Port : IDisposable
    {
        private readonly EmulatedNic _nic;
        private readonly ClassifierReader _reader;
        private readonly int _slot;
        private bool _disposed;

        internal Port(EmulatedNic nic)
        {
            _nic = nic;
            _reader = nic._classifier.CreateReader(cached: false);
            _slot = nic._readers.Take();
        }

        /// <summary>Takes a packet through; <see cref="PacketVerdict.NoMatch"/> is a packet for the slow path.</summary>
        /// <param name="key">The packet's key; becomes what the actions make of it.</param>
        /// <param name="bytes">Its length.</param>
        /// <param name="outputs">Receives ports; what does not fit is left out.</param>
        /// <param name="written">How many ports.</param>
        public PacketVerdict Process(ref FlowKey key, int bytes, Span<uint> outputs, out int written)
        {
            _ = _nic._readers.Enter(_slot, ref _nic._epoch);
            uint index = _reader.Lookup(key);
            written = 0;
            PacketVerdict verdict = index == ClassifierReader.None ? PacketVerdict.NoMatch : _nic.Process(index, ref key, bytes, outputs, out written);
            _nic._readers.Leave(_slot);
            return verdict;
        }

        /// <inheritdoc/>
        public void Dispose()
        {
            if (!_disposed)
            {
                _disposed = true;
                _reader.Dispose();
                _nic._readers.Release(_slot);
            }
        }
    }
}
