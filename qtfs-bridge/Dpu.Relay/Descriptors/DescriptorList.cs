using System.Buffers.Binary;
using System.Diagnostics.CodeAnalysis;
using Dpu.Linux;

namespace Dpu.Relay.Descriptors;

/// <summary>
/// The content of a <see cref="Wire.RelayFrameKind.Rights"/> frame: the descriptors that come beside the first byte of the next data.
/// A 32-bit count, and for each a kind (8 bits), a zero, flags (16), the name's length (32), value, mount and node (64 each), and the name, to which a terminal's settings belong;
/// all little-endian. Pure.
/// </summary>
internal static class DescriptorList
{
    /// <summary>The most descriptors: SCM_MAX_FD of the kernel (include/net/scm.h), what a message can have beside it.</summary>
    public const int Most = 253;

    /// <summary>The longest content.</summary>
    public const int MaxSize = sizeof(uint) + (Most * (EntrySize + limits.PATH_MAX));

    private const int EntrySize = 32;

    /// <summary>Writes it.</summary>
    public static byte[] Write(IReadOnlyList<PassedDescriptor> descriptors)
    {
        byte[] content = new byte[sizeof(uint) + descriptors.Sum(one => EntrySize + one.Name.Length + one.Settings.Length)];
        BinaryPrimitives.WriteInt32LittleEndian(content, descriptors.Count);
        Span<byte> room = content.AsSpan(sizeof(uint));
        foreach (PassedDescriptor one in descriptors)
        {
            room[0] = (byte)one.Kind;
            BinaryPrimitives.WriteUInt16LittleEndian(room[2..], (ushort)one.Flags);
            BinaryPrimitives.WriteInt32LittleEndian(room[4..], one.Name.Length + one.Settings.Length);
            BinaryPrimitives.WriteInt64LittleEndian(room[8..], one.Value);
            BinaryPrimitives.WriteUInt64LittleEndian(room[16..], one.Mount);
            BinaryPrimitives.WriteUInt64LittleEndian(room[24..], one.Node);
            one.Name.Span.CopyTo(room[EntrySize..]);
            one.Settings.Span.CopyTo(room[(EntrySize + one.Name.Length)..]);
            room = room[(EntrySize + one.Name.Length + one.Settings.Length)..];
        }

        return content;
    }

    /// <summary>Reads it; false where it is none, and the connection is to end.</summary>
    /// <param name="content">From a peer that is not trusted.</param>
    /// <param name="descriptors">What it says; names are copies.</param>
    public static bool TryRead(ReadOnlySpan<byte> content, [NotNullWhen(true)] out PassedDescriptor[]? descriptors)
    {
        descriptors = null;
        if (content.Length < sizeof(uint) || BinaryPrimitives.ReadUInt32LittleEndian(content) is not (> 0 and <= Most and var count))
        {
            return false;
        }

        content = content[sizeof(uint)..];
        var read = new PassedDescriptor[count];
        for (int i = 0; i < read.Length; i++)
        {
            if (content.Length < EntrySize || BinaryPrimitives.ReadUInt32LittleEndian(content[4..]) is var length && (length >= limits.PATH_MAX || length > content.Length - EntrySize))
            {
                return false;
            }

            // Behind the token of a terminal are its settings.
            int name = (DescriptorKind)content[0] is DescriptorKind.Terminal or DescriptorKind.TerminalMaster ? Math.Min((int)length, PassedDescriptor.TokenSize) : (int)length;
            read[i] = new PassedDescriptor((DescriptorKind)content[0], (DescriptorFlags)BinaryPrimitives.ReadUInt16LittleEndian(content[2..]))
            {
                Value = BinaryPrimitives.ReadInt64LittleEndian(content[8..]),
                Mount = BinaryPrimitives.ReadUInt64LittleEndian(content[16..]),
                Node = BinaryPrimitives.ReadUInt64LittleEndian(content[24..]),
                Name = content.Slice(EntrySize, name).ToArray(),
                Settings = content[(EntrySize + name)..(EntrySize + (int)length)].ToArray(),
            };
            if (content[1] != 0 || !IsSound(read[i]))
            {
                return false;
            }

            content = content[(EntrySize + (int)length)..];
        }

        descriptors = read;
        return content.IsEmpty;
    }

    private static bool IsSound(PassedDescriptor one)
    {
        ReadOnlySpan<byte> name = one.Name.Span;
        if ((one.Flags & ~DescriptorFlags.All) != 0 || (one.Flags & (DescriptorFlags.WriteOnly | DescriptorFlags.ReadWrite)) == (DescriptorFlags.WriteOnly | DescriptorFlags.ReadWrite))
        {
            return false;
        }

        return one.Kind switch
        {
            DescriptorKind.Refused => name.IsEmpty,
            DescriptorKind.File => one.Value >= 0 && !name.Contains((byte)0) && (one.Node == 0 || name.IsEmpty),
            DescriptorKind.Device => name.IsEmpty && HarmlessDevice.PathOf(one.Value) is not null,
            DescriptorKind.Interface => NetworkInterface.IsSound(one),
            DescriptorKind.SameTerminal => name.Length == PassedDescriptor.TokenSize,
            _ => one.IsRelayed && name.Length == PassedDescriptor.TokenSize && one.Settings.Length is 0 or Terminals.TerminalSettings.Size,
        };
    }
}
