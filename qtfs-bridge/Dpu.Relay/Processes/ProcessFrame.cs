using System.Buffers.Binary;

namespace Dpu.Relay.Processes;

/// <summary>What a frame of service <c>exec</c> says; the numbers are the wire's.</summary>
public enum ProcessFrameKind : byte
{
    /// <summary>No frame.</summary>
    None = 0,

    /// <summary>From the DPU, first for a process that is to begin: what it is to be (<see cref="ProcessRecords"/>).</summary>
    Start = 1,

    /// <summary>From the DPU: the stub got a signal. 4 bytes number, 4 si_code, 4 pid, 4 uid, 8 value.</summary>
    Signal = 2,

    /// <summary>Bytes of a stream, from a position.</summary>
    Data = 3,

    /// <summary>All of a stream before a position has come, and there is room for more. First of each stream on each connection.</summary>
    Ack = 4,

    /// <summary>A stream ends at a position.</summary>
    End = 5,

    /// <summary>From the DPU: nothing of the process is needed any more. From the host: so it is gone.</summary>
    Forget = 6,

    /// <summary>From the DPU: the process is to end, as its policy says (SIGTERM, and SIGKILL after a while).</summary>
    Terminate = 7,

    /// <summary>From the DPU, where the host has said that it takes them (ExecResult.takes_calls): a <see cref="ProcessCall"/>.</summary>
    Call = 8,

    /// <summary>From the DPU: how it stands to its terminal (<see cref="ProcessJob"/>).</summary>
    Job = 9,

    /// <summary>From the DPU: who stands for what the process has left; 16 bytes its token, 4 the stand-in's number there (0: nobody does), 4 zero.</summary>
    StandsIn = 10,

    /// <summary>From the DPU, first on a connection that named no process: 16 bytes its token. <see cref="Start"/> follows.</summary>
    Name = 11,

    /// <summary>From the host, before the end is told: the process has left one running; 16 bytes its token, 4 its number, 4 zero.</summary>
    LeftBehind = 24,

    /// <summary>From the host: it runs, and the header's position is the errno of why it has not the number that was wanted; 4 bytes number, and the numbers (4 bytes each) of descriptors that it did not get.</summary>
    Started = 16,

    /// <summary>From the host: it does not; 4 bytes exit code, and text.</summary>
    Refused = 17,

    /// <summary>From the host, after all that it has written before: it has ended; 4 bytes as wait(2) has it.</summary>
    Ended = 18,

    /// <summary>From the host: a signal has stopped it; 4 bytes number.</summary>
    Stopped = 19,

    /// <summary>From the host: it goes on; also the answer to each SIGCONT, before a stop that comes after that.</summary>
    Continued = 20,

    /// <summary>From the host: a <see cref="ProcessCallAnswer"/>.</summary>
    Called = 21,

    /// <summary>From the host, to who takes it (ExecParameters.takes_notes): 1 byte <see cref="ProcessNoteKind"/>, and text.</summary>
    Note = 40,

    /// <summary>From the host, on a connection that asks what there is (ExecParameters.list): a <see cref="HeldProcess"/>.</summary>
    Held = 41,

    /// <summary>From the host, behind all of them.</summary>
    HeldEnd = 42,
}

/// <summary>What a <see cref="ProcessFrameKind.Note"/> is of; the numbers are the wire's.</summary>
public enum ProcessNoteKind : byte
{
    /// <summary>What the process and all that comes of it is in: a scope, or the directory of a cgroup.</summary>
    Group = 0,

    /// <summary>What has happened to it at the host.</summary>
    Event = 1,
}

/// <summary>Flags of <see cref="ProcessFrameKind.Ack"/>.</summary>
[Flags]
public enum ProcessAckFlags : byte
{
    /// <summary>None.</summary>
    None = 0,

    /// <summary>The stream's end has come too.</summary>
    End = 1,

    /// <summary>Nobody takes the bytes any more.</summary>
    Broken = 2,

    /// <summary>What has come from the position on had no room, and is to be sent again.</summary>
    Again = 4,

    /// <summary>In the upper four bits: for how many times <see cref="ProcessFrame.RoomUnit"/> bytes behind the position there is room. 0, as earlier versions say: for one frame.</summary>
    Room = 0xf0,
}

/// <summary>
/// The frames of service <c>exec</c>, one process a connection: 4 bytes the content's size, 1 kind, 1 stream, 1 flags, 1 zero, 8 position; then
/// the content. Little-endian. Pure.
/// </summary>
internal static class ProcessFrame
{
    /// <summary>Bytes before the content.</summary>
    public const int HeaderSize = 16;

    /// <summary>Bytes of a stream in one frame.</summary>
    public const int MaxData = 128 << 10;

    /// <summary>In which the room is told that there is for a stream, bytes.</summary>
    public const int RoomUnit = 64 << 10;

    /// <summary>The most of it that can be told, of <see cref="RoomUnit"/>s.</summary>
    public const int MostRoom = 15;

    /// <summary>The longest other content: what execve(2) takes at most, and more.</summary>
    public const int MaxContent = Keeper.process.PROCESS_FRAME_MAX;

    /// <summary>Streams of one process at most.</summary>
    public const int MaxStreams = 30;

    /// <summary>Writes a header.</summary>
    public static void Write(Span<byte> room, ProcessFrameKind kind, int size, int stream = 0, byte flags = 0, ulong position = 0)
    {
        BinaryPrimitives.WriteInt32LittleEndian(room, size);
        (room[4], room[5], room[6], room[7]) = ((byte)kind, (byte)stream, flags, 0);
        BinaryPrimitives.WriteUInt64LittleEndian(room[8..], position);
    }

    /// <summary>Reads a header; false where it is none.</summary>
    public static bool TryRead(ReadOnlySpan<byte> header, out ProcessFrameKind kind, out int size, out int stream, out byte flags, out ulong position)
    {
        size = BinaryPrimitives.ReadInt32LittleEndian(header);
        (kind, stream, flags) = ((ProcessFrameKind)header[4], header[5], header[6]);
        position = BinaryPrimitives.ReadUInt64LittleEndian(header[8..]);
        return size >= 0 && stream < MaxStreams && header[7] == 0 && position < JournaledPipe.Going && kind switch
        {
            ProcessFrameKind.Data => size is > 0 and <= MaxData,
            ProcessFrameKind.Ack or ProcessFrameKind.End or ProcessFrameKind.Forget or ProcessFrameKind.Terminate or ProcessFrameKind.Continued or ProcessFrameKind.HeldEnd => size == 0,
            ProcessFrameKind.Signal => size == ProcessSignal.Size,
            ProcessFrameKind.Call => size is >= ProcessCall.HeaderSize and <= ProcessCall.HeaderSize + ProcessCall.MaxContent,
            ProcessFrameKind.Called => size is >= ProcessCallAnswer.HeaderSize and <= ProcessCallAnswer.HeaderSize + ProcessCall.MaxContent,
            ProcessFrameKind.Name => size == Keeper.process.PROCESS_TOKEN_SIZE,
            ProcessFrameKind.Job => size == ProcessJob.Size,
            ProcessFrameKind.Ended or ProcessFrameKind.Stopped => size == sizeof(int),
            ProcessFrameKind.StandsIn or ProcessFrameKind.LeftBehind => size == ProcessStandIn.Size,
            ProcessFrameKind.Started => size is >= sizeof(int) and <= 1 << 20 && size % sizeof(int) == 0,
            ProcessFrameKind.Start => size <= MaxContent,
            ProcessFrameKind.Note => size is >= 1 and <= ProcessFrames.MaxNote,
            ProcessFrameKind.Held => size is >= HeldProcess.HeaderSize and <= HeldProcess.MaxSize,
            ProcessFrameKind.Refused => size is >= sizeof(int) and <= 64 << 10,
            _ => false,
        };
    }
}

/// <summary>A signal that a stub got, for its process.</summary>
/// <param name="Number">Which.</param>
/// <param name="Code">si_code.</param>
/// <param name="Pid">Who sent it, on the DPU.</param>
/// <param name="Uid">Whose.</param>
/// <param name="Value">Of sigqueue(3).</param>
public readonly record struct ProcessSignal(int Number, int Code, int Pid, uint Uid, long Value)
{
    /// <summary>Bytes of it in a frame.</summary>
    public const int Size = 24;

    /// <summary>The highest number (SIGRTMAX).</summary>
    public const int Most = 64;

    /// <summary>As a frame has it.</summary>
    public byte[] ToBytes()
    {
        byte[] bytes = new byte[Size];
        BinaryPrimitives.WriteInt32LittleEndian(bytes, Number);
        BinaryPrimitives.WriteInt32LittleEndian(bytes.AsSpan(4), Code);
        BinaryPrimitives.WriteInt32LittleEndian(bytes.AsSpan(8), Pid);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(12), Uid);
        BinaryPrimitives.WriteInt64LittleEndian(bytes.AsSpan(16), Value);
        return bytes;
    }

    /// <summary>Reads one of <see cref="Size"/> bytes; false where it names no signal.</summary>
    public static bool TryRead(ReadOnlySpan<byte> bytes, out ProcessSignal signal)
    {
        signal = new(
            BinaryPrimitives.ReadInt32LittleEndian(bytes),
            BinaryPrimitives.ReadInt32LittleEndian(bytes[4..]),
            BinaryPrimitives.ReadInt32LittleEndian(bytes[8..]),
            BinaryPrimitives.ReadUInt32LittleEndian(bytes[12..]),
            BinaryPrimitives.ReadInt64LittleEndian(bytes[16..]));
        return signal.Number is > 0 and <= Most;
    }
}
