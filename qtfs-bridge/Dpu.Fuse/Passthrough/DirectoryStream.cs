using System.Runtime.InteropServices;
using Dpu.Linux;
using static Dpu.Linux.LibC;

namespace Dpu.Fuse;

/// <summary>
/// Reads a directory handle's entries one after the other, and gives one back that did not fit into a reply.
/// Positions are the host's d_off. Use under the handle's lock.
/// </summary>
internal unsafe ref struct DirectoryStream
{
    /// <summary>What is read ahead, in bytes; 32 KiB as the C library takes.</summary>
    public const int BufferSize = 32 * 1024;

    private const int NameOffset = 19;
    private readonly ref HandleRecord _handle;
    private int _nextStart;

    /// <summary>Opens the stream at a position; check <see cref="Error"/>.</summary>
    public DirectoryStream(ref HandleRecord handle, long position)
    {
        _handle = ref handle;
        if (handle.Buffer == 0)
        {
            handle.Buffer = (nint)NativeMemory.Alloc(BufferSize);
            (handle.Start, handle.End) = (0, 0);
        }

        // Seeking costs a system call and throws away what was read ahead: only where the peer jumped. The start is read
        // afresh always, for that is how rewinddir(3) sees new entries.
        if (position != handle.Position || position == 0)
        {
            Error = (int)Result((nint)Math.Min(0, lseek(handle.Descriptor, position, unistd.SEEK_SET)));
            (handle.Start, handle.End, handle.Position) = (0, 0, Error == 0 ? position : -1);
            handle.Listed = position == 0 ? 0 : handle.Listed;
        }
    }

    /// <summary>0 or a negated errno.</summary>
    public int Error { get; private set; }

    /// <summary>The current entry's name, valid until the next <see cref="MoveNext"/>.</summary>
    public ReadOnlySpan<byte> Name { get; private set; }

    /// <summary>The current entry.</summary>
    public dirent64 Entry { get; private set; }

    /// <summary>Goes to the next entry; false at the end or on an error.</summary>
    public bool MoveNext()
    {
        if (_handle.Start >= _handle.End)
        {
            int size = (int)Result(getdents64(_handle.Descriptor, (void*)_handle.Buffer, BufferSize));
            (_handle.Start, _handle.End) = (0, Math.Max(0, size));
            if (size <= 0)
            {
                Error = size;
                return false;
            }
        }

        // SAFETY: the kernel filled [Start, End) with whole records, each ended by NUL within d_reclen.
        byte* record = (byte*)_handle.Buffer + _handle.Start;
        Entry = *(dirent64*)record;
        Name = MemoryMarshal.CreateReadOnlySpanFromNullTerminated(record + NameOffset);
        _nextStart = _handle.Start + Entry.d_reclen;
        return true;
    }

    /// <summary>Counts an entry that is handed out with its file; false where there have been so many already.</summary>
    public readonly bool TryCount(int most)
    {
        _handle.Listed++;
        return _handle.Listed <= most;
    }

    /// <summary>The current entry is in the reply: the next read begins behind it.</summary>
    public readonly void Consume()
    {
        _handle.Start = _nextStart;
        _handle.Position = Entry.d_off;
    }
}
