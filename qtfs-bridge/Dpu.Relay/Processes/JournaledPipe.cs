using Dpu.Linux;
using Microsoft.Win32.SafeHandles;

namespace Dpu.Relay.Processes;

/// <summary>
/// A pipe that is only this daemon's, with one number in memory that outlives it: together they say at any time, also to the
/// daemon that comes after a kill, which bytes of a stream are in the pipe. Used by one thread at a time.
/// </summary>
/// <remarks>
/// The pipe's own count (FIONREAD) is the journal. The number says which of two things may be going on, with the position that does not
/// change meanwhile: (1) bytes come: it is the position of the first byte in the pipe; (2) bytes go: it is the position behind the last
/// one, with <see cref="Going"/> set. The other position follows from the count. The number is written before the first call of a kind, and
/// splice(2), read(2) and write(2) of a process that is killed have either moved bytes or not: the count knows.
/// </remarks>
internal sealed unsafe class JournaledPipe : IDisposable
{
    /// <summary>Bytes go.</summary>
    public const ulong Going = 1ul << 63;

    private static readonly SafeFileHandle s_nothing = OpenNothing();
    [ThreadStatic]
    private static int[]? s_scratch;

    private readonly int _pipe;
    private readonly ulong* _journal;
    private ulong _first;
    private ulong _end;

    /// <param name="pipe">A pipe, open to be read and written and without waiting; its own from now on.</param>
    /// <param name="journal">Eight bytes; 0 for a new pipe.</param>
    public JournaledPipe(SafeFileHandle pipe, ulong* journal)
    {
        Handle = pipe;
        _pipe = (int)pipe.DangerousGetHandle();
        _journal = journal;
        int count = CountNow();

        // SAFETY: the caller's eight bytes; so in all of this class.
        ulong word = *journal;
        _first = (word & Going) != 0 ? (word & ~Going) - (ulong)count : word;
        _end = _first + (ulong)count;
        Size = Math.Max(4096, LibC.Result(LibC.fcntl_int(_pipe, fcntl.F_GETPIPE_SZ, 0)));
    }

    /// <summary>The pipe.</summary>
    public SafeFileHandle Handle { get; }

    /// <summary>How many bytes it holds at most.</summary>
    public int Size { get; }

    /// <summary>The position of the first byte in it.</summary>
    public ulong First => _first;

    /// <summary>The position behind the last one.</summary>
    public ulong End => _end;

    /// <summary>Bytes in it.</summary>
    public int Count => (int)(_end - _first);

    /// <summary>A new pipe of that size where the machine allows it; null where there are no descriptors left.</summary>
    public static SafeFileHandle? TryMake(int size)
    {
        int* ends = stackalloc int[2];

        // SAFETY: two descriptors on the stack.
        if (LibC.pipe2(ends, fcntl.O_CLOEXEC | fcntl.O_NONBLOCK) < 0)
        {
            return null;
        }

        using var reads = new SafeFileHandle(ends[0], ownsHandle: true);
        using var writes = new SafeFileHandle(ends[1], ownsHandle: true);
        _ = LibC.fcntl_int(ends[0], fcntl.F_SETPIPE_SZ, size);

        // One descriptor for both: what has it has the pipe, and there is never an end.
        return Descriptors.Descriptor.TryOpenAgain(reads, fcntl.O_RDWR | fcntl.O_NONBLOCK, out _);
    }

    /// <summary>Takes bytes from a file, pipe or socket; how many, 0 at its end, or a negated errno: EAGAIN where nothing is there, or no room.</summary>
    public int Fill(int from, int most)
    {
        Come();
        int got = (int)LibC.Result(LibC.splice(from, null, _pipe, null, (nuint)most, fcntl.SPLICE_F_NONBLOCK));
        _end += (ulong)Math.Max(0, got);
        return got;
    }

    /// <summary>Takes bytes from memory; how many, or a negated errno.</summary>
    public int Write(byte* bytes, int size)
    {
        Come();
        int put = (int)LibC.Result(LibC.write(_pipe, bytes, (nuint)size));
        _end += (ulong)Math.Max(0, put);
        return put;
    }

    /// <summary>Gives bytes to a file, pipe or socket; how many, or a negated errno.</summary>
    public int Drain(int to)
    {
        Go();
        int given = (int)LibC.Result(LibC.splice(_pipe, null, to, null, (nuint)Count, fcntl.SPLICE_F_NONBLOCK));
        _first += (ulong)Math.Max(0, given);
        return given;
    }

    /// <summary>Drops all bytes before a position.</summary>
    public void Drop(ulong before)
    {
        Go();
        while (_first < before && before <= _end)
        {
            long gone = LibC.Result(LibC.splice(_pipe, null, (int)s_nothing.DangerousGetHandle(), null, (nuint)(before - _first), 0));
            if (gone <= 0)
            {
                throw new IOException($"bytes that are in a pipe could not be dropped: errno {-gone}");
            }

            _first += (ulong)gone;
        }
    }

    /// <summary>Copies bytes; they stay.</summary>
    /// <param name="room">For how many at most.</param>
    /// <param name="skipped">How many before them are not copied.</param>
    /// <returns>How many; or a negated errno.</returns>
    public int Peek(Span<byte> room, int skipped = 0)
    {
        int[] scratch = s_scratch ??= MakeScratch();

        // tee(2) begins at the first byte, and copies none: what is skipped is dropped from the copy.
        int copied = (int)LibC.Result(LibC.tee(_pipe, scratch[1], (nuint)Math.Min(room.Length + skipped, Count), fcntl.SPLICE_F_NONBLOCK));
        for (int left = Math.Min(skipped, copied); left > 0;)
        {
            int gone = (int)LibC.Result(LibC.splice(scratch[0], null, (int)s_nothing.DangerousGetHandle(), null, (nuint)left, 0));
            if (gone <= 0)
            {
                throw new IOException($"bytes that were copied into a pipe could not be dropped: errno {-gone}");
            }

            left -= gone;
        }

        copied = copied < 0 ? copied : Math.Max(0, copied - skipped);
        int at = 0;
        fixed (byte* bytes = room)
        {
            while (at < copied)
            {
                // SAFETY: at most `copied` bytes, for which there is room.
                int read = (int)LibC.Result(LibC.read(scratch[0], bytes + at, (nuint)(copied - at)));
                if (read <= 0)
                {
                    throw new IOException($"bytes that were copied into a pipe could not be read: errno {-read}");
                }

                at += read;
            }
        }

        return copied;
    }

    /// <inheritdoc/>
    public void Dispose() => Handle.Dispose();

    private static SafeFileHandle OpenNothing() => File.OpenHandle("/dev/null", FileMode.Open, FileAccess.Write, FileShare.ReadWrite);

    private static int[] MakeScratch()
    {
        int* ends = stackalloc int[2];

        // SAFETY: two descriptors on the stack; they live as long as the thread's loop, which is the daemon's.
        if (LibC.pipe2(ends, fcntl.O_CLOEXEC | fcntl.O_NONBLOCK) < 0)
        {
            throw new IOException("no descriptors are left for a pipe");
        }

        _ = LibC.fcntl_int(ends[0], fcntl.F_SETPIPE_SZ, ProcessStreams.PipeSize);
        return [ends[0], ends[1]];
    }

    private int CountNow()
    {
        int count = 0;

        // SAFETY: an int on the stack.
        return LibC.ioctl(_pipe, ioctl_h.FIONREAD, &count) < 0 ? 0 : count;
    }

    private void Come() => Volatile.Write(ref *_journal, _first);

    private void Go() => Volatile.Write(ref *_journal, _end | Going);
}
