using System.Buffers.Binary;
using Dpu.Flows.Keys;
using Dpu.Flows.Table;

namespace Dpu.Reconciler.Records;

/// <summary>
/// Lists of actions, each kept once, by number. Two lists have one number where they do the same: settings of fields that
/// follow each other are taken together (the last one to a bit counts), all other actions keep their order. One thread at a time.
/// </summary>
internal sealed class ActionLists
{
    private readonly Dictionary<byte[], int> _numbers = new(new ByteComparer());
    private readonly Dictionary<byte[], int>.AlternateLookup<ReadOnlySpan<byte>> _find;
    private readonly List<(byte[] Canonical, FlowAction[] Actions)> _lists = [];
    private readonly ArrayWriter _writer = new();

    internal ActionLists() => _find = _numbers.GetAlternateLookup<ReadOnlySpan<byte>>();

    internal int Count => _lists.Count;

    internal IReadOnlyList<FlowAction> this[int number] => _lists[number].Actions;

    /// <summary>The list's number.</summary>
    internal int Of(IReadOnlyList<FlowAction> actions)
    {
        Canonical(actions, _writer);
        if (!_find.TryGetValue(_writer.Written, out int number))
        {
            number = _lists.Count;
            byte[] bytes = _writer.Written.ToArray();
            _lists.Add((bytes, [.. actions]));
            _numbers.Add(bytes, number);
        }

        return number;
    }

    /// <summary>The number of a list of other lists that does the same; negative where there is none.</summary>
    internal int Find(ActionLists others, int number) => _find.TryGetValue(others._lists[number].Canonical, out int found) ? found : -1;

    private static void Canonical(IReadOnlyList<FlowAction> actions, ArrayWriter to)
    {
        to.Clear();
        for (int i = 0; i < actions.Count; i++)
        {
            FlowAction action = actions[i];
            if (action.Kind == FlowActionKind.SetField)
            {
                FlowKey value = default, bits = default;
                for (; i < actions.Count && actions[i].Kind == FlowActionKind.SetField; i++)
                {
                    Merge(actions[i], ref value, ref bits);
                }

                i--;
                for (int word = 0; word < FlowKey.Words; word++)
                {
                    if (bits.Word(word) != 0)
                    {
                        to.Byte((byte)FlowActionKind.SetField);
                        to.Byte((byte)word);
                        to.Word(bits.Word(word));
                        to.Word(value.Word(word));
                    }
                }

                continue;
            }

            to.Byte((byte)action.Kind);
            to.Word(action.Argument);
            if (action.Kind == FlowActionKind.PushTunnel)
            {
                to.Byte((byte)action.Field);
                to.Word((ulong)(action.Value >> 64));
                to.Word((ulong)action.Value);
                to.Word((ulong)(action.Mask >> 64));
                to.Word((ulong)action.Mask);
            }
        }
    }

    private static void Merge(FlowAction action, ref FlowKey value, ref FlowKey bits)
    {
        UInt128 mask = action.Mask & FieldAccess.Full(action.Field);
        FieldAccess.Set(ref value, action.Field, (FieldAccess.Get(value, action.Field) & ~mask) | (action.Value & mask));
        FieldAccess.Set(ref bits, action.Field, FieldAccess.Get(bits, action.Field) | mask);
        if (action.Field is FlowField.VlanVid or FlowField.VlanPcp)
        {
            // As KeyActions has it: a packet without a tag gets one.
            value.VlanTci |= FlowKey.VlanPresent;
            bits.VlanTci |= FlowKey.VlanPresent;
        }
    }

    private sealed class ArrayWriter
    {
        private byte[] _bytes = new byte[256];
        private int _length;

        internal ReadOnlySpan<byte> Written => _bytes.AsSpan(0, _length);

        internal void Clear() => _length = 0;

        internal void Byte(byte value)
        {
            Reserve(1);
            _bytes[_length++] = value;
        }

        internal void Word(ulong value)
        {
            Reserve(8);
            BinaryPrimitives.WriteUInt64LittleEndian(_bytes.AsSpan(_length), value);
            _length += 8;
        }

        private void Reserve(int more)
        {
            if (_length + more > _bytes.Length)
            {
                Array.Resize(ref _bytes, _bytes.Length * 2);
            }
        }
    }
}
