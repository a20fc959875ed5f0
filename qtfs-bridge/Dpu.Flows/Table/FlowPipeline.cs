using Dpu.Flows.Classifier;
using Dpu.Flows.Keys;
using Dpu.Flows.Packets;

namespace Dpu.Flows.Table;

/// <summary>What became of a packet.</summary>
public enum PacketVerdict
{
    /// <summary>It goes to the ports that were written.</summary>
    Forward,

    /// <summary>A flow drops it: it has no output.</summary>
    Drop,

    /// <summary>No flow matched: it is dropped, and the slow path may want to know.</summary>
    NoMatch,

    /// <summary>A meter dropped it.</summary>
    Metered,

    /// <summary>It goes to the slow path.</summary>
    Controller,

    /// <summary>An action does not fit the packet (a tag to take off that is not there), or it has more outputs than fit.</summary>
    Unfit,
}

/// <summary>Where a packet goes.</summary>
/// <param name="Verdict">What became of it.</param>
/// <param name="Outputs">Ports that were written, mirrors included.</param>
/// <param name="LastFlow">The flow that decided; none where none matched.</param>
public readonly record struct PacketResult(PacketVerdict Verdict, int Outputs, FlowId LastFlow);

/// <summary>
/// Takes packets through the tables. For one thread at a time; nothing on the way locks or allocates. Actions work on the
/// key: who sends the packet rewrites its bytes from what the key then says.
/// </summary>
public sealed unsafe class FlowPipeline : IDisposable
{
    /// <summary>The port number of <see cref="FlowActionKind.Normal"/> (OFPP_NORMAL).</summary>
    public const uint NormalPort = 0xfffffffa;

    private readonly FlowTable _table;
    private readonly bool _cached;
    private readonly ClassifierReader?[] _readers = new ClassifierReader?[FlowTable.MaxTables];
    private readonly int _slot;
    private bool _disposed;

    /// <summary>A way through a table's flows.</summary>
    public FlowPipeline(FlowTable table, bool cached = true)
    {
        ArgumentNullException.ThrowIfNull(table);
        _table = table;
        _cached = cached;
        _slot = table.Readers.Take();
    }

    /// <summary>Takes a packet through.</summary>
    /// <param name="key">The packet's key; becomes what the actions make of it.</param>
    /// <param name="bytes">Its length.</param>
    /// <param name="outputs">Receives the ports that it goes to.</param>
    public PacketResult Process(ref FlowKey key, int bytes, Span<uint> outputs)
    {
        _ = _table.Readers.Enter(_slot, ref _table.Epoch);
        PacketResult result = Process(ref key, bytes, outputs, _table.Clock.Now);
        _table.Readers.Leave(_slot);
        return result;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (!_disposed)
        {
            _disposed = true;
            _table.Readers.Release(_slot);
            Array.ForEach(_readers, reader => reader?.Dispose());
        }
    }

    private PacketResult Process(ref FlowKey key, int bytes, Span<uint> outputs, uint now)
    {
        int written = 0;
        byte table = 0;
        FlowId last = FlowId.None;
        while (true)
        {
            uint index = Reader(table)?.Lookup(key) ?? ClassifierReader.None;
            if (index == ClassifierReader.None)
            {
                return new PacketResult(PacketVerdict.NoMatch, 0, last);
            }

            _table.States.Count(index, bytes, now);
            last = _table.IdOf(index);
            byte* actions = _table.Actions.At(Volatile.Read(ref _table.States.At(index)->Actions), out int size);
            byte next = 0;
            for (int at = 0; at < size;)
            {
                FlowAction action = ActionCodec.Next(actions, ref at);
                PacketVerdict? end = Apply(action, ref key, bytes, outputs, ref written, ref next);
                if (end is { } verdict)
                {
                    return new PacketResult(verdict, verdict is PacketVerdict.Controller ? written : 0, last);
                }
            }

            if (next == 0)
            {
                return new PacketResult(written > 0 ? PacketVerdict.Forward : PacketVerdict.Drop, written, last);
            }

            // Tables only rise (FlowTable checks goto), so this ends.
            table = next;
        }
    }

    private PacketVerdict? Apply(in FlowAction action, ref FlowKey key, int bytes, Span<uint> outputs, ref int written, ref byte next)
    {
        switch (action.Kind)
        {
            case FlowActionKind.Output or FlowActionKind.Mirror or FlowActionKind.InPort or FlowActionKind.Normal:
                if (written == outputs.Length)
                {
                    return PacketVerdict.Unfit;
                }

                outputs[written++] = action.Kind switch { FlowActionKind.InPort => key.InPort, FlowActionKind.Normal => NormalPort, _ => action.Argument };
                return null;
            case FlowActionKind.Controller:
                return PacketVerdict.Controller;
            case FlowActionKind.Meter:
                return _table.Meters.Pass(action.Argument, bytes) ? null : PacketVerdict.Metered;
            case FlowActionKind.Goto:
                next = (byte)action.Argument;
                return null;
            default:
                return KeyActions.TryApply(action, ref key) ? null : PacketVerdict.Unfit;
        }
    }

    private ClassifierReader? Reader(byte table) =>
        _readers[table] ?? (_table.Classifier(table) is { } classifier ? _readers[table] = classifier.CreateReader(_cached) : null);
}

/// <summary>Actions on keys. Pure.</summary>
public static class KeyActions
{
    /// <summary>Applies one; false where it does not fit the packet.</summary>
    public static bool TryApply(in FlowAction action, ref FlowKey key)
    {
        switch (action.Kind)
        {
            case FlowActionKind.SetField:
                UInt128 old = FieldAccess.Get(key, action.Field);
                UInt128 value = (old & ~action.Mask) | (action.Value & action.Mask);
                FieldAccess.Set(ref key, action.Field, value);
                if (action.Field is FlowField.VlanVid or FlowField.VlanPcp)
                {
                    // As OVS' mod_vlan_vid: a packet without a tag gets one.
                    key.VlanTci |= FlowKey.VlanPresent;
                }

                return true;
            case FlowActionKind.PushVlan:
                if ((key.VlanTci2 & FlowKey.VlanPresent) != 0 || !EtherTypes.IsVlan((ushort)action.Argument))
                {
                    return false;
                }

                (key.VlanTci2, key.VlanTci) = (key.VlanTci, (ushort)(key.VlanTci == 0 ? FlowKey.VlanPresent : key.VlanTci));
                return true;
            case FlowActionKind.PopVlan:
                if ((key.VlanTci & FlowKey.VlanPresent) == 0)
                {
                    return false;
                }

                (key.VlanTci, key.VlanTci2) = (key.VlanTci2, 0);
                return true;
            case FlowActionKind.PushTunnel:
                key.TunKind = action.Tunnel;
                key.TunId = action.Argument;
                key.TunDst = ToTunnel(action.Value);
                key.TunSrc = ToTunnel(action.Mask);
                return true;
            case FlowActionKind.PopTunnel:
                if (key.TunKind == TunnelKind.None)
                {
                    return false;
                }

                (key.TunKind, key.TunId, key.TunSrc, key.TunDst, key.TunTos, key.TunTtl) = (TunnelKind.None, 0, default, default, 0, 0);
                return true;
            default:
                return true;
        }
    }

    // IPv4 addresses fill the first word of a key's.
    private static Address128 ToTunnel(UInt128 address) =>
        address <= uint.MaxValue ? new Address128((uint)address) : FieldAccess.ToAddress(address);
}
