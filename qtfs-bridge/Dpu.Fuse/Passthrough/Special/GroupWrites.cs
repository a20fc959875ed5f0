using System.Runtime.CompilerServices;
using Dpu.Linux;
using static Dpu.Linux.LibC;

namespace Dpu.Fuse;

/// <summary>
/// "0" written to a cgroup's list of processes means the writer: here that would be this daemon, which the peer must not
/// move. Allocation-free.
/// </summary>
internal static unsafe class GroupWrites
{
    /// <summary>Whether a write would move this daemon.</summary>
    /// <param name="descriptors">/proc/self/fd.</param>
    /// <param name="file">The open file.</param>
    /// <param name="source">What is written.</param>
    /// <param name="count">The number of its pieces.</param>
    public static bool MeansTheWriter(int descriptors, int file, iovec* source, int count) => IsZero(source, count) && IsProcessList(descriptors, file);

    /// <summary>Whether the kernel would read a 0 out of it (kstrtoint after strstrip). Pure.</summary>
    public static bool IsZero(iovec* source, int count)
    {
        int digits = 0;
        for (int i = 0; i < count; i++)
        {
            foreach (byte character in new ReadOnlySpan<byte>(source[i].iov_base, (int)source[i].iov_len))
            {
                switch (character)
                {
                    case (byte)'0':
                        digits++;
                        break;

                    // A sign, a base (0x), blanks: whatever else the kernel takes for zero has no other characters.
                    case (byte)'-' or (byte)'+' or (byte)'x' or (byte)'X' or 0 or (byte)' ' or ((>= 9) and (<= 13)) or 0xa0:
                        break;
                    default:
                        return false;
                }
            }
        }

        return digits > 0;
    }

    [SkipLocalsInit]
    private static bool IsProcessList(int descriptors, int file)
    {
        byte* number = stackalloc byte[DescriptorPath.MaxSize];
        byte* path = stackalloc byte[limits.PATH_MAX];
        int length = (int)readlinkat(descriptors, DescriptorPath.Format(file, number), path, limits.PATH_MAX);
        if (length is < 0 or limits.PATH_MAX)
        {
            // A path that cannot be told may be that of such a file.
            return true;
        }

        var text = new ReadOnlySpan<byte>(path, length);
        ReadOnlySpan<byte> name = text[(text.LastIndexOf((byte)'/') + 1)..];

        // In a hierarchy of cgroup v1 that hides its prefixes the names are the same. A removed group takes no processes.
        return name.SequenceEqual("cgroup.procs"u8) || name.SequenceEqual("cgroup.threads"u8) || name.SequenceEqual("tasks"u8);
    }
}
