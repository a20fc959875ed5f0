using System.Runtime.CompilerServices;
using Dpu.Linux;
using static Dpu.Linux.LibC;

namespace Dpu.Fuse;

/// <summary>
/// The names at the top of a procfs that are not for a peer: those that mean whoever looks them up, which would be this
/// daemon, and the daemon itself. To a thread of the daemon the kernel shows more of it than a squashed user may see
/// (<c>same_thread_group</c> in fs/proc). Allocation-free.
/// </summary>
internal static unsafe class ProcNames
{
    /// <summary>The inode number of the top of every procfs (PROC_ROOT_INO of linux/proc_fs.h).</summary>
    public const ulong RootInode = 1;

    private const int NumberSize = 12;

    /// <summary>
    /// Whether a name of the top of a procfs is not to be found: <c>self</c>, <c>thread-self</c>, and the number of this
    /// process or of one of its threads, as that procfs counts.
    /// </summary>
    /// <param name="top">A descriptor of the top.</param>
    /// <param name="name">The name.</param>
    [SkipLocalsInit]
    public static bool IsHidden(int top, ReadOnlySpan<byte> name)
    {
        if (name.SequenceEqual("self"u8) || name.SequenceEqual("thread-self"u8))
        {
            return true;
        }

        if (!IsNumber(name))
        {
            return false;
        }

        // SAFETY: the number takes NumberSize bytes at most, "/task/" 6, the name NumberSize, NUL 1.
        byte* path = stackalloc byte[(2 * NumberSize) + 8];
        int length = Own(top, path);
        if (length <= 0)
        {
            // The daemon is in no namespace that this procfs shows.
            return false;
        }

        if (name.SequenceEqual(new ReadOnlySpan<byte>(path, length)))
        {
            return true;
        }

        // A thread's number is found at the top too, though never listed.
        var rest = new Span<byte>(path + length, NumberSize + 8);
        "/task/"u8.CopyTo(rest);
        name.CopyTo(rest[6..]);
        rest[6 + name.Length] = 0;
        return faccessat2(top, path, unistd.F_OK, fcntl.AT_SYMLINK_NOFOLLOW) == 0;
    }

    /// <summary>
    /// Makes what a link of procfs says mean the same to everybody: <c>mounts</c> and <c>net</c> lead to the reader's own,
    /// which through an export are those of the host's first process.
    /// </summary>
    /// <param name="target">What the link says, <paramref name="length"/> bytes of it.</param>
    /// <param name="length">Its length in bytes.</param>
    /// <returns>The length that it has now.</returns>
    public static int Redirect(Span<byte> target, int length)
    {
        ReadOnlySpan<byte> own = "self/"u8;
        if (length < own.Length || !target[..own.Length].SequenceEqual(own))
        {
            return length;
        }

        target[0] = (byte)'1';
        target[(own.Length - 1)..length].CopyTo(target[1..]);
        return length - (own.Length - 2);
    }

    /// <summary>Whether a name is the number of a process. Pure.</summary>
    public static bool IsNumber(ReadOnlySpan<byte> name) =>
        name.Length is > 0 and < NumberSize && name[0] != (byte)'0' && !name.ContainsAnyExceptInRange((byte)'0', (byte)'9');

    private static int Own(int top, byte* number)
    {
        fixed (byte* self = "self\0"u8)
        {
            return (int)readlinkat(top, self, number, NumberSize);
        }
    }
}
