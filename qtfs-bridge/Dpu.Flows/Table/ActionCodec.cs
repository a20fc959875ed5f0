using System.Runtime.CompilerServices;
using Dpu.Flows.Keys;

namespace Dpu.Flows.Table;

/// <summary>Actions as bytes: 8 for each (kind, field, 16 bits unused, argument), 40 where a value and a mask follow. Host order.</summary>
internal static unsafe class ActionCodec
{
    internal const int ShortSize = 8;
    internal const int LongSize = 40;

    /// <summary>Bytes of a list; more are an error, so that a packet's work is bounded.</summary>
    internal const int MaxSize = 1000;

    internal static int SizeOf(ReadOnlySpan<FlowAction> actions)
    {
        int size = 0;
        foreach (FlowAction action in actions)
        {
            size += action.EncodedSize;
        }

        return size;
    }

    internal static void Encode(ReadOnlySpan<FlowAction> actions, byte* to)
    {
        foreach (FlowAction action in actions)
        {
            to[0] = (byte)action.Kind;
            to[1] = (byte)action.Field;
            to[2] = to[3] = 0;
            Unsafe.WriteUnaligned(to + 4, action.Argument);
            if (action.EncodedSize == LongSize)
            {
                Unsafe.WriteUnaligned(to + 8, action.Value);
                Unsafe.WriteUnaligned(to + 24, action.Mask);
            }

            to += action.EncodedSize;
        }
    }

    /// <summary>Reads the action at <paramref name="at"/> and moves on.</summary>
    internal static FlowAction Next(byte* bytes, ref int at)
    {
        var kind = (FlowActionKind)bytes[at];
        var field = (FlowField)bytes[at + 1];
        uint argument = Unsafe.ReadUnaligned<uint>(bytes + at + 4);
        if (kind is FlowActionKind.SetField or FlowActionKind.PushTunnel)
        {
            FlowAction action = new(kind, argument, field, Unsafe.ReadUnaligned<UInt128>(bytes + at + 8), Unsafe.ReadUnaligned<UInt128>(bytes + at + 24));
            at += LongSize;
            return action;
        }

        at += ShortSize;
        return new FlowAction(kind, argument, field);
    }

    internal static FlowAction[] Decode(byte* bytes, int size)
    {
        List<FlowAction> actions = [];
        for (int at = 0; at < size;)
        {
            actions.Add(Next(bytes, ref at));
        }

        return [.. actions];
    }
}
