namespace Dpu.Relay.Descriptors;

/// <summary>A descriptor as the link tells of it.</summary>
/// <param name="Kind">What it is.</param>
/// <param name="Flags">How it is open.</param>
public sealed record PassedDescriptor(DescriptorKind Kind, DescriptorFlags Flags)
{
    /// <summary>Bytes of a token.</summary>
    public const int TokenSize = 16;

    /// <summary>What cannot cross.</summary>
    public static readonly PassedDescriptor Refused = new(DescriptorKind.Refused, DescriptorFlags.None);

    /// <summary>Of a file where it is read and written next; of a device its minor number; of an interface its flags, and from bit 32 the length of its headers.</summary>
    public long Value { get; init; }

    /// <summary>Of a file, the mount's number in the session.</summary>
    public ulong Mount { get; init; }

    /// <summary>Of a file that the DPU has open, its node.</summary>
    public ulong Node { get; init; }

    /// <summary>Of a file that the host has open, the path from the export's directory; of what is relayed, the token; of an interface, its name.</summary>
    public ReadOnlyMemory<byte> Name { get; init; }

    /// <summary>Of a terminal, what it is set to (<see cref="Terminals.TerminalSettings"/>); empty where the other end knows.</summary>
    public ReadOnlyMemory<byte> Settings { get; init; }

    /// <summary>Whether it is a terminal that has a twin.</summary>
    public bool IsTerminal => Kind is DescriptorKind.Terminal or DescriptorKind.TerminalMaster;

    /// <summary>Whether bytes go through a connection of its own, which a token names.</summary>
    public bool IsRelayed => Kind is DescriptorKind.PipeToRead or DescriptorKind.PipeToWrite or DescriptorKind.Socket or DescriptorKind.Listener or DescriptorKind.Counter or DescriptorKind.Terminal or DescriptorKind.TerminalMaster;
}
