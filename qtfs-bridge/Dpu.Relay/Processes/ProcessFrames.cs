using System.Buffers.Binary;
using System.Text;

namespace Dpu.Relay.Processes;

/// <summary>The frames by which a process begins, before a <see cref="ProcessChannel"/> has the connection. Pure.</summary>
public static class ProcessFrames
{
    /// <summary>Bytes before the content.</summary>
    public const int HeaderSize = ProcessFrame.HeaderSize;

    /// <summary>The longest text of a refusal, bytes.</summary>
    private const int MaxText = 4096;

    // MAX_ERRNO of the kernel.
    private const ulong MaxError = 4095;

    /// <summary>The longest note, bytes.</summary>
    internal const int MaxNote = 1 + 1024;

    /// <summary>The content of a note.</summary>
    /// <param name="kind">Of what.</param>
    /// <param name="text">For people; cut where it is too long.</param>
    public static byte[] Note(ProcessNoteKind kind, string text)
    {
        byte[] bytes = Encoding.UTF8.GetBytes(text);
        return [(byte)kind, .. bytes.AsSpan(0, Math.Min(bytes.Length, MaxNote - 1))];
    }

    /// <summary>Reads a note of at least one byte.</summary>
    public static (ProcessNoteKind Kind, string Text) ReadNote(ReadOnlySpan<byte> content) =>
        ((ProcessNoteKind)content[0], Link.Printable.Clean(Encoding.UTF8.GetString(content[1..]), MaxNote));

    /// <summary>A whole frame.</summary>
    /// <param name="kind">What it says.</param>
    /// <param name="content">Of what.</param>
    /// <param name="error">Of <see cref="ProcessFrameKind.Started"/>: why the number is not the one that was wanted.</param>
    public static byte[] Of(ProcessFrameKind kind, ReadOnlySpan<byte> content, int error = 0)
    {
        byte[] frame = new byte[HeaderSize + content.Length];
        ProcessFrame.Write(frame, kind, content.Length, position: (ulong)error);
        content.CopyTo(frame.AsSpan(HeaderSize));
        return frame;
    }

    /// <summary>Reads the header of what names a process; false where it is another one's.</summary>
    public static bool TryReadName(ReadOnlySpan<byte> header) => ProcessFrame.TryRead(header, out ProcessFrameKind kind, out _, out _, out _, out _) && kind == ProcessFrameKind.Name;

    /// <summary>Reads the header of what begins a process; false where it is another one's.</summary>
    public static bool TryReadStart(ReadOnlySpan<byte> header, out int size) =>
        ProcessFrame.TryRead(header, out ProcessFrameKind kind, out size, out _, out _, out _) && kind == ProcessFrameKind.Start;

    /// <summary>As below.</summary>
    public static bool TryReadAnswer(ReadOnlySpan<byte> header, out ProcessFrameKind kind, out int size) => TryReadAnswer(header, out kind, out size, out _);

    /// <summary>Reads the header of the host's answer; false where it is none.</summary>
    /// <param name="header">Its bytes.</param>
    /// <param name="kind">Which.</param>
    /// <param name="size">Of the content.</param>
    /// <param name="error">Of a start: the errno of why the process has not the number that was wanted.</param>
    public static bool TryReadAnswer(ReadOnlySpan<byte> header, out ProcessFrameKind kind, out int size, out int error)
    {
        bool read = ProcessFrame.TryRead(header, out kind, out size, out _, out _, out ulong position);
        error = (int)Math.Min(position, MaxError);
        return read && kind is ProcessFrameKind.Started or ProcessFrameKind.Refused;
    }

    /// <summary>Reads the header of a part of the host's list; false where it is none. The list's end has no content.</summary>
    public static bool TryReadHeld(ReadOnlySpan<byte> header, out int size, out bool isEnd)
    {
        bool read = ProcessFrame.TryRead(header, out ProcessFrameKind kind, out size, out _, out _, out _);
        isEnd = kind == ProcessFrameKind.HeldEnd;
        return read && kind is ProcessFrameKind.Held or ProcessFrameKind.HeldEnd;
    }

    /// <summary>The content of a refusal.</summary>
    /// <param name="code">The exit code of who stands for the process.</param>
    /// <param name="text">Why, for people.</param>
    public static byte[] Refusal(int code, string text)
    {
        byte[] bytes = Encoding.UTF8.GetBytes(text);
        byte[] content = new byte[sizeof(int) + Math.Min(bytes.Length, MaxText)];
        BinaryPrimitives.WriteInt32LittleEndian(content, code);
        bytes.AsSpan(0, content.Length - sizeof(int)).CopyTo(content.AsSpan(sizeof(int)));
        return content;
    }

    /// <summary>Reads a refusal of at least four bytes.</summary>
    public static (int Code, string Text) ReadRefusal(ReadOnlySpan<byte> content) =>
        (BinaryPrimitives.ReadInt32LittleEndian(content), Link.Printable.Clean(Encoding.UTF8.GetString(content[sizeof(int)..]), MaxText));
}
