using System.Diagnostics.CodeAnalysis;
using Dpu.Flows.Keys;

namespace Dpu.Flows.Table;

/// <summary>What an action does.</summary>
[SuppressMessage("Design", "CA1028", Justification = "A byte of the encoded form.")]
public enum FlowActionKind : byte
{
    /// <summary>Sends the packet, as it is then, to a port.</summary>
    Output,

    /// <summary>Sends it back by the port it came in by.</summary>
    InPort,

    /// <summary>Sends it to the slow path: a controller.</summary>
    Controller,

    /// <summary>Switches it as a learning bridge would.</summary>
    Normal,

    /// <summary>Sends a copy to a port, for watching.</summary>
    Mirror,

    /// <summary>Sets bits of a field.</summary>
    SetField,

    /// <summary>Adds an outer VLAN tag of an EtherType.</summary>
    PushVlan,

    /// <summary>Takes the outer VLAN tag off.</summary>
    PopVlan,

    /// <summary>Wraps it into a tunnel.</summary>
    PushTunnel,

    /// <summary>Takes it out of its tunnel.</summary>
    PopTunnel,

    /// <summary>Lets it pass at a meter's rate.</summary>
    Meter,

    /// <summary>Goes on in a later table. Always the last action.</summary>
    Goto,
}

/// <summary>One action. A value: what its kind does not use is 0.</summary>
/// <param name="Kind">What it does.</param>
/// <param name="Argument">Port, EtherType, meter, table, or tunnel id.</param>
/// <param name="Field">The field to set; for a tunnel its kind, as a number.</param>
/// <param name="Value">The bits to set; for a tunnel its destination.</param>
/// <param name="Mask">Which bits to set; for a tunnel its source.</param>
public readonly record struct FlowAction(FlowActionKind Kind, uint Argument = 0, FlowField Field = FlowField.None, UInt128 Value = default, UInt128 Mask = default)
{
    /// <summary>Sends to a port.</summary>
    public static FlowAction Output(uint port) => new(FlowActionKind.Output, port);

    /// <summary>Goes on in a table.</summary>
    public static FlowAction Goto(byte table) => new(FlowActionKind.Goto, table);

    /// <summary>Passes a meter.</summary>
    public static FlowAction Meter(uint meter) => new(FlowActionKind.Meter, meter);

    /// <summary>Copies to a port.</summary>
    public static FlowAction Mirror(uint port) => new(FlowActionKind.Mirror, port);

    /// <summary>Adds a tag.</summary>
    public static FlowAction PushVlan(ushort etherType) => new(FlowActionKind.PushVlan, etherType);

    /// <summary>Takes a tag off.</summary>
    public static FlowAction PopVlan => new(FlowActionKind.PopVlan);

    /// <summary>Sets a whole field.</summary>
    public static FlowAction Set(FlowField field, UInt128 value) => Set(field, value, FieldAccess.Full(field));

    /// <summary>Sets some bits of a field.</summary>
    public static FlowAction Set(FlowField field, UInt128 value, UInt128 mask) => new(FlowActionKind.SetField, 0, field, value & mask, mask);

    /// <summary>Wraps into a tunnel between IPv4 or IPv6 addresses, as numbers; a source of 0 is the port's own.</summary>
    public static FlowAction PushTunnel(TunnelKind kind, uint id, UInt128 destination, UInt128 source = default) =>
        new(FlowActionKind.PushTunnel, id, (FlowField)(int)kind, destination, source);

    /// <summary>The kind of the tunnel that is pushed.</summary>
    public TunnelKind Tunnel => Kind == FlowActionKind.PushTunnel ? (TunnelKind)(int)Field : TunnelKind.None;

    /// <summary>Bytes of the encoded form.</summary>
    internal int EncodedSize => Kind is FlowActionKind.SetField or FlowActionKind.PushTunnel ? ActionCodec.LongSize : ActionCodec.ShortSize;
}
