using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Text;
using Dpu.Keeper;
using Dpu.Linux;
using Dpu.Relay.Descriptors;
using Dpu.Relay.Processes;
using Microsoft.Win32.SafeHandles;

namespace Dpu.Runtime.Processes;

/// <summary>What a stub says, and is told: the frames of <c>qtfs-bridge/native/process.h</c>.</summary>
internal enum StubFrame : ushort
{
    None = 0,
    Descriptors = process.PROCESS_DESCRIPTORS,
    Start = process.PROCESS_START,
    Attach = process.PROCESS_ATTACH,
    Signal = process.PROCESS_SIGNAL,
    Job = process.PROCESS_JOB,
    Stood = process.PROCESS_STOOD,
    Started = process.PROCESS_STARTED,
    Refused = process.PROCESS_REFUSED,
    Ended = process.PROCESS_ENDED,
    Stopped = process.PROCESS_STOPPED,
    Attached = process.PROCESS_ATTACHED,
    Continued = process.PROCESS_CONTINUED,
    StandIn = process.PROCESS_STAND_IN,
}

/// <summary>The connection of a stub: a local program that is not trusted. Used by one thread at a time.</summary>
internal sealed class StubConnection(SafeHandle socket, IStubView? view = null) : IDisposable
{
    private const int HeaderSize = 8;
    private const int MostWaiting = ProcessSpec.MostDescriptors;
    private static readonly TimeSpan s_limit = TimeSpan.FromSeconds(30);
    private const int MaxText = 4000;

    private readonly Queue<int> _waiting = new();
    private readonly List<(int Number, SafeFileHandle What)> _descriptors = [];
    private byte[] _bytes = new byte[4096];
    private int _length;
    private bool _ended;

    public SafeHandle Socket => socket;

    /// <summary>The view by whose socket it came; null for none.</summary>
    public IStubView? View => view;

    /// <summary>Its descriptors, by the numbers that they have there.</summary>
    public List<(int Number, SafeFileHandle What)> Descriptors => _descriptors;

    /// <summary>Waits for a frame other than of descriptors; none at the connection's end, after the limit, and where it is no frame.</summary>
    public StubFrame Await(out byte[] content)
    {
        while (true)
        {
            StubFrame kind = Next(out content, out bool ended);
            if (kind != StubFrame.None || ended)
            {
                return kind;
            }

            if (!poll.WaitReadable(socket, s_limit))
            {
                return StubFrame.None;
            }
        }
    }

    /// <summary>The next frame, without waiting.</summary>
    /// <param name="content">What is in it.</param>
    /// <param name="ended">Whether no more comes, where there is no frame.</param>
    public unsafe StubFrame Next(out byte[] content, out bool ended)
    {
        content = [];
        while (true)
        {
            ended = false;
            StubFrame kind = Take(ref content, ref ended);
            if (ended || (kind != StubFrame.None && kind != StubFrame.Descriptors))
            {
                return ended ? StubFrame.None : kind;
            }

            if (kind == StubFrame.Descriptors)
            {
                continue;
            }

            if (_ended)
            {
                ended = true;
                return StubFrame.None;
            }

            if (_bytes.Length - _length < 4096)
            {
                Array.Resize(ref _bytes, 2 * _bytes.Length);
            }

            int got = RightsSocket.TryReceive(socket, _bytes.AsSpan(_length), out int[]? descriptors, out bool lost);
            Array.ForEach(descriptors ?? [], _waiting.Enqueue);
            if (got is -errno.EAGAIN or -errno.EINTR)
            {
                return StubFrame.None;
            }

            _ended = got <= 0 || lost || _waiting.Count > MostWaiting;
            _length += Math.Max(0, got);
        }
    }

    /// <summary>Tells it that its process runs.</summary>
    /// <param name="token">How it names it when it comes again.</param>
    /// <param name="process">Its number on the host.</param>
    /// <param name="stay">Numbers of descriptors that are not on the host.</param>
    public bool TellStarted(Guid token, int process, IEnumerable<int> stay) =>
        Tell(StubFrame.Started, [.. token.ToByteArray(), .. MemoryMarshal.AsBytes<int>([process, .. stay])]);

    /// <summary>Tells it to end, and why.</summary>
    public bool TellRefused(int code, string text)
    {
        byte[] bytes = Encoding.UTF8.GetBytes(text.Length > MaxText ? text[..MaxText] : text);
        byte[] content = new byte[sizeof(int) + bytes.Length];
        BinaryPrimitives.WriteInt32LittleEndian(content, code);
        bytes.CopyTo(content, sizeof(int));
        return Tell(StubFrame.Refused, content);
    }

    public bool TellAttached() => Tell(StubFrame.Attached, []);

    /// <summary>Answers a SIGCONT.</summary>
    public bool TellContinued() => Tell(StubFrame.Continued, []);

    /// <summary>Tells of an end, or of a stop.</summary>
    public bool Tell(StubFrame kind, int number) => Tell(kind, MemoryMarshal.AsBytes<int>([number]).ToArray());

    public void Dispose()
    {
        foreach (int descriptor in _waiting)
        {
            _ = LibC.close(descriptor);
        }

        _waiting.Clear();
        _descriptors.ForEach(one => one.What.Dispose());
        _descriptors.Clear();
        socket.Dispose();
    }

    private StubFrame Take(ref byte[] content, ref bool ended)
    {
        if (_length < HeaderSize)
        {
            return StubFrame.None;
        }

        int size = BinaryPrimitives.ReadInt32LittleEndian(_bytes);
        var kind = (StubFrame)BinaryPrimitives.ReadUInt16LittleEndian(_bytes.AsSpan(4));
        if (size is < 0 or > process.PROCESS_FRAME_MAX || kind is not (StubFrame.Descriptors or StubFrame.Start or StubFrame.Attach or StubFrame.Signal or StubFrame.Stood or StubFrame.Job))
        {
            ended = true;
            return StubFrame.None;
        }

        if (_length < HeaderSize + size)
        {
            return StubFrame.None;
        }

        content = _bytes.AsSpan(HeaderSize, size).ToArray();
        _length -= HeaderSize + size;
        Array.Copy(_bytes, HeaderSize + size, _bytes, 0, _length);
        if (kind == StubFrame.Descriptors)
        {
            ended = !Take(content);
        }

        return kind;
    }

    private bool Take(byte[] numbers)
    {
        if (numbers.Length % sizeof(int) != 0 || numbers.Length / sizeof(int) > _waiting.Count)
        {
            return false;
        }

        foreach (int number in MemoryMarshal.Cast<byte, int>(numbers))
        {
            var handle = new SafeFileHandle(_waiting.Dequeue(), ownsHandle: true);
            if (number < 0 || _descriptors.Exists(one => one.Number == number))
            {
                handle.Dispose();
                return false;
            }

            _descriptors.Add((number, handle));
        }

        return true;
    }

    /// <summary>Has it fork somebody who stands for what its process has left running.</summary>
    public bool TellStandIn(ProcessStandIn wanted) => Tell(StubFrame.StandIn, wanted.ToBytes());

    // It takes little, and reads nothing but this: what has no room is as if it were gone.
    private bool Tell(StubFrame kind, byte[] content)
    {
        byte[] frame = new byte[HeaderSize + content.Length];
        BinaryPrimitives.WriteInt32LittleEndian(frame, content.Length);
        BinaryPrimitives.WriteUInt16LittleEndian(frame.AsSpan(4), (ushort)kind);
        content.CopyTo(frame, HeaderSize);
        return RightsSocket.TrySend(socket, frame, []) == frame.Length;
    }
}
