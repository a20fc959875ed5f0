using System.Buffers.Binary;
using Dpu.Keeper;
using Dpu.Relay.Terminals;

namespace Dpu.Relay.Processes;

/// <summary>How a process stands to its terminal: <c>struct process_job</c> of <c>qtfs-bridge/native/process.h</c>, on the link little-endian.</summary>
/// <param name="Kind"><c>enum process_job_kind</c>.</param>
/// <param name="Dimensions">The terminal's size.</param>
public readonly record struct ProcessJob(uint Kind, TerminalSize Dimensions)
{
    /// <summary>Bytes of it.</summary>
    public const int Size = sizeof(uint) + TerminalSize.Size;

    /// <summary>Whether the terminal is the process's just now.</summary>
    public bool IsForeground => Kind == process.PROCESS_FOREGROUND;

    /// <summary>As a frame has it.</summary>
    public byte[] ToBytes()
    {
        byte[] bytes = new byte[Size];
        BinaryPrimitives.WriteUInt32LittleEndian(bytes, Kind);
        Dimensions.CopyTo(bytes.AsSpan(sizeof(uint)));
        return bytes;
    }

    /// <summary>Reads one of <see cref="Size"/> bytes, from who is not trusted; false where it says neither foreground nor background.</summary>
    public static bool TryRead(ReadOnlySpan<byte> bytes, out ProcessJob job)
    {
        job = new(BinaryPrimitives.ReadUInt32LittleEndian(bytes), TerminalSize.Read(bytes[sizeof(uint)..]));
        return job.Kind is process.PROCESS_FOREGROUND or process.PROCESS_BACKGROUND;
    }
}
