using System.Buffers.Binary;
using Dpu.Keeper;
using Dpu.Relay.Terminals;

namespace Dpu.Relay.Processes;

/// <summary>The controlling terminal of a process that is to begin, as the link has it. Immutable.</summary>
/// <param name="Settings">What the stub's terminal is set to, with which the process's begins.</param>
/// <param name="IsForeground">Whether it begins in the foreground.</param>
/// <param name="Flags">How it is open, of open(2), for each open file of it that the process has (<see cref="ProcessDescriptor.Index"/>).</param>
/// <remarks>Its two streams come behind all others: first the one that it reads, then the one that it writes.</remarks>
public sealed record ProcessTerminal(TerminalSettings Settings, bool IsForeground, IReadOnlyList<int> Flags)
{
    private const int FixedSize = TerminalSettings.Size + sizeof(uint);

    /// <summary>Writes it.</summary>
    public byte[] ToBytes()
    {
        byte[] bytes = new byte[FixedSize + (sizeof(int) * Flags.Count)];
        Settings.Write().CopyTo(bytes, 0);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(TerminalSettings.Size), IsForeground ? process.PROCESS_FOREGROUND : process.PROCESS_BACKGROUND);
        for (int i = 0; i < Flags.Count; i++)
        {
            BinaryPrimitives.WriteInt32LittleEndian(bytes.AsSpan(FixedSize + (sizeof(int) * i)), Flags[i]);
        }

        return bytes;
    }

    /// <summary>Reads it, from a peer that is not trusted; null where it is none.</summary>
    public static ProcessTerminal? Read(ReadOnlySpan<byte> bytes)
    {
        if (bytes.Length < FixedSize || (bytes.Length - FixedSize) % sizeof(int) != 0 || bytes.Length > FixedSize + (sizeof(int) * ProcessSpec.MostDescriptors)
            || TerminalSettings.Read(bytes[..TerminalSettings.Size]) is not { } settings)
        {
            return null;
        }

        int[] flags = new int[(bytes.Length - FixedSize) / sizeof(int)];
        for (int i = 0; i < flags.Length; i++)
        {
            flags[i] = BinaryPrimitives.ReadInt32LittleEndian(bytes[(FixedSize + (sizeof(int) * i))..]);
        }

        return new ProcessTerminal(settings, BinaryPrimitives.ReadUInt32LittleEndian(bytes[TerminalSettings.Size..]) == process.PROCESS_FOREGROUND, flags);
    }
}
