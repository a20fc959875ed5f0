using System.Runtime.CompilerServices;
using Dpu.Linux;
using static Dpu.Linux.LibC;

namespace Dpu.Fuse;

/// <summary>
/// The kernel's name of a file, by which it is opened again whatever its path is now. It never leaves this process: who
/// could choose one would reach every file of the mount. Plain data.
/// </summary>
internal unsafe struct FileHandle
{
    /// <summary>
    /// The bytes of a handle that is kept. ext4 takes 8, XFS and tmpfs 12, Btrfs 20, overlayfs up to 44; a longer one (the
    /// kernel's limit is 128) costs every node its room, so that such a file keeps its descriptor instead.
    /// </summary>
    public const int MaxSize = 64;

    // No handle_type of the kernel's: those are 1 to 255 (exportfs.h).
    private const int NameType = int.MinValue;

    private int _size;
    private int _type;
    private Content _content;

    /// <summary>Whether there is one.</summary>
    public readonly bool Exists => _size > 0;

    /// <summary>
    /// Asks for the handle of an open file; 0, or a negated errno: <c>-EOPNOTSUPP</c> where the file system has none,
    /// <c>-EOVERFLOW</c> where it is too long. Needs no privilege.
    /// </summary>
    public static int Create(int descriptor, out FileHandle handle)
    {
        // SAFETY: the kernel writes the head and at most handle_bytes behind it; the text is one NUL.
        handle = default;
        byte* space = stackalloc byte[sizeof(file_handle) + MaxSize];
        var head = (file_handle*)space;
        *head = new file_handle { handle_bytes = MaxSize };
        byte empty = 0;
        int mount;
        int error = Result(name_to_handle_at(descriptor, &empty, head, &mount, fcntl.AT_EMPTY_PATH));
        if (error < 0)
        {
            return error;
        }

        handle._size = (int)Math.Min(head->handle_bytes, MaxSize);
        handle._type = head->handle_type;
        new ReadOnlySpan<byte>(space + sizeof(file_handle), handle._size).CopyTo(handle._content);
        return handle.Exists ? 0 : -errno.EOPNOTSUPP;
    }

    /// <summary>Puts it where a process that is killed meanwhile leaves it whole or not at all.</summary>
    public readonly void Publish(ref FileHandle place)
    {
        (place._type, place._content) = (_type, _content);
        Volatile.Write(ref place._size, _size);
    }

    /// <summary>Takes a handle as an event of the kernel tells it; false where it is longer than any that is kept.</summary>
    public static bool TryFrom(int type, ReadOnlySpan<byte> content, out FileHandle handle)
    {
        handle = default;
        if (content.IsEmpty || content.Length > MaxSize)
        {
            return false;
        }

        handle._size = content.Length;
        handle._type = type;
        content.CopyTo(handle._content);
        return true;
    }

    /// <summary>
    /// Opens the file with O_PATH, as the daemon itself (CAP_DAC_READ_SEARCH); the descriptor or a negated errno,
    /// <c>-ESTALE</c> where the file is gone.
    /// </summary>
    /// <param name="mount">A descriptor on the file's mount, not O_PATH.</param>
    public readonly int Open(int mount)
    {
        if (!Exists || IsName)
        {
            return -errno.ESTALE;
        }

        // SAFETY: the kernel reads the head and handle_bytes behind it, which are _size, at most MaxSize.
        byte* space = stackalloc byte[sizeof(file_handle) + MaxSize];
        var head = (file_handle*)space;
        *head = new file_handle { handle_bytes = (uint)_size, handle_type = _type };
        ((ReadOnlySpan<byte>)_content)[.._size].CopyTo(new Span<byte>(space + sizeof(file_handle), MaxSize));
        return Result(open_by_handle_at(mount, head, fcntl.O_PATH | fcntl.O_NOFOLLOW | fcntl.O_CLOEXEC));
    }

    /// <summary>
    /// Keeps a name in the room of a handle: what finds a file again in its directory, where its file system has no handles.
    /// </summary>
    /// <returns>A name; nothing where it is too long, and such a file keeps its descriptor.</returns>
    public static FileHandle FromName(ReadOnlySpan<byte> name)
    {
        FileHandle handle = default;
        if (name.Length < MaxSize && !name.IsEmpty)
        {
            handle._size = name.Length;
            handle._type = NameType;
            name.CopyTo(handle._content);
        }

        return handle;
    }

    /// <summary>Whether it is a name.</summary>
    public readonly bool IsName => _type == NameType && _size > 0;

    /// <summary>For a name: opens it with O_PATH, following nothing; the descriptor or a negated errno.</summary>
    /// <param name="directory">The directory's descriptor.</param>
    public readonly int OpenIn(int directory)
    {
        // SAFETY: a name is shorter than MaxSize, and what is behind it in the content is zero.
        fixed (Content* name = &_content)
        {
            return Result(openat(directory, (byte*)name, fcntl.O_PATH | fcntl.O_NOFOLLOW | fcntl.O_CLOEXEC, 0));
        }
    }

    /// <summary>Mixes type and content into a hash.</summary>
    public readonly ulong Mix(ulong hash)
    {
        ReadOnlySpan<byte> content = ((ReadOnlySpan<byte>)_content)[.._size];
        hash = FileIdentity.Mixed(hash, (uint)_type);
        for (int at = 0; at < content.Length; at += sizeof(ulong))
        {
            ulong word = 0;
            content[at..Math.Min(content.Length, at + sizeof(ulong))].CopyTo(new Span<byte>(&word, sizeof(ulong)));
            hash = FileIdentity.Mixed(hash, word);
        }

        return hash;
    }

    /// <summary>Whether both name the same file of one mount, the generation of its inode included.</summary>
    public readonly bool Names(in FileHandle other) =>
        _type == other._type && ((ReadOnlySpan<byte>)_content)[.._size].SequenceEqual(((ReadOnlySpan<byte>)other._content)[..other._size]);

    [InlineArray(MaxSize)]
    private struct Content
    {
        private byte _first;
    }
}
