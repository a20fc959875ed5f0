using System.Runtime.CompilerServices;
using Dpu.Linux;
using static Dpu.Linux.LibC;

namespace Dpu.Fuse;

/// <summary>
/// Tells whether what a descriptor refers to is still inside the exported directory. Thread-safe, allocation-free,
/// about 1.5 µs (two readlinks of 0.77 µs, measured on Linux 6.18).
/// </summary>
/// <remarks>
/// It compares the kernel's present path of the descriptor with the present path of the root, so that a renamed root
/// stays the root and a directory that was moved out is outside at once. A deleted file counts by where its name was.
/// Paths of 4,096 bytes and more have no text: a directory is then judged by climbing to the root, any other file is
/// refused with ENAMETOOLONG. Not covered: a file of a file system that the host has lazily unmounted below the export
/// is judged by its path within that file system.
/// </remarks>
internal sealed unsafe class ExportBoundary
{
    // A rename of the root between the two reads looks like an escape; it would have to happen three times in a row.
    private const int Attempts = 3;
    private const int MaxDepth = 1 << 16;

    private readonly int _root;
    private readonly int _descriptors;

    /// <summary>Makes the check.</summary>
    /// <param name="root">The exported directory, O_PATH; it stays open as long as this is used.</param>
    /// <param name="descriptors">/proc/self/fd, O_PATH.</param>
    public ExportBoundary(int root, int descriptors)
    {
        _root = root;
        _descriptors = descriptors;
    }

    /// <summary>0 where the descriptor is inside; <c>-ESTALE</c> where not, <c>-ENAMETOOLONG</c> where that cannot be told.</summary>
    [SkipLocalsInit]
    public int Check(int descriptor)
    {
        if (descriptor == _root)
        {
            return 0;
        }

        // SAFETY: PathOf writes at most PATH_MAX bytes to each.
        byte* path = stackalloc byte[limits.PATH_MAX];
        byte* root = stackalloc byte[limits.PATH_MAX];
        for (int attempt = 0; attempt < Attempts; attempt++)
        {
            int length = PathOf(descriptor, path);
            if (length == -errno.ENAMETOOLONG)
            {
                return Climb(descriptor);
            }

            int rootLength = PathOf(_root, root);
            if (length < 0 || rootLength < 0)
            {
                return -errno.ESTALE;
            }

            if (IsBelow(new ReadOnlySpan<byte>(path, length), new ReadOnlySpan<byte>(root, rootLength)))
            {
                return IsDeletedRoot(new ReadOnlySpan<byte>(root, rootLength)) ? -errno.ESTALE : 0;
            }
        }

        return -errno.ESTALE;
    }

    /// <summary>The path from the exported directory, without a slash before it; empty for the directory.</summary>
    /// <param name="descriptor">What is inside; of what is not the path means nothing.</param>
    /// <param name="buffer">Room for it.</param>
    /// <returns>Its length in bytes, or a negated errno.</returns>
    [SkipLocalsInit]
    public int RelativePath(int descriptor, Span<byte> buffer)
    {
        // SAFETY: PathOf writes at most PATH_MAX bytes to each.
        byte* path = stackalloc byte[limits.PATH_MAX];
        byte* root = stackalloc byte[limits.PATH_MAX];
        int length = 0;
        for (int attempt = 0; attempt < Attempts && length >= 0; attempt++)
        {
            length = PathOf(descriptor, path);
            int rootLength = PathOf(_root, root);
            var whole = new ReadOnlySpan<byte>(path, Math.Max(0, length));
            if (length >= 0 && rootLength >= 0 && IsBelow(whole, new ReadOnlySpan<byte>(root, rootLength)))
            {
                ReadOnlySpan<byte> relative = whole[rootLength..].TrimStart((byte)'/');
                return relative.TryCopyTo(buffer) ? relative.Length : -errno.ENAMETOOLONG;
            }
        }

        return length < 0 ? length : -errno.ESTALE;
    }

    /// <summary>Whether a path is the root's or continues it after a '/'. Pure.</summary>
    public static bool IsBelow(ReadOnlySpan<byte> path, ReadOnlySpan<byte> root)
    {
        if (root.Length == 0 || root[0] != '/' || !path.StartsWith(root))
        {
            return false;
        }

        return root.Length == 1 || path.Length == root.Length || path[root.Length] == '/';
    }

    private int PathOf(int descriptor, byte* buffer)
    {
        byte* text = stackalloc byte[DescriptorPath.MaxSize];
        int length = (int)Result(readlinkat(_descriptors, DescriptorPath.Format(descriptor, text), buffer, limits.PATH_MAX));

        // A full buffer may hold a cut path: kernels with larger pages give longer ones.
        return length == limits.PATH_MAX ? -errno.ENAMETOOLONG : length;
    }

    // The kernel writes " (deleted)" behind the path of a removed directory, which a living one may have in its name.
    private bool IsDeletedRoot(ReadOnlySpan<byte> root)
    {
        statx status;
        byte empty = 0;
        return root.EndsWith(" (deleted)"u8)
            && (statx(_root, &empty, fcntl.AT_EMPTY_PATH, stat.STATX_NLINK, &status) != 0 || status.stx_nlink == 0);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private int Climb(int descriptor)
    {
        // Every step needs search permission, which the caller of this moment need not have.
        int error = FuseWorkerThread.Current.BecomeAgent();
        if (error < 0)
        {
            return error;
        }

        statx root = default;
        error = Identify(_root, out root);
        int current = descriptor;
        statx previous = default;
        for (int depth = 0; error == 0 && depth < MaxDepth; depth++)
        {
            error = Identify(current, out statx status);
            if (error == 0 && IsSame(status, root))
            {
                CloseStep(current, descriptor);
                return 0;
            }

            if (error == 0 && depth > 0 && IsSame(status, previous))
            {
                error = -errno.ESTALE;
            }

            if (error == 0)
            {
                previous = status;
                fixed (byte* up = "..\0"u8)
                {
                    int parent = Result(openat(current, up, fcntl.O_PATH | fcntl.O_DIRECTORY | fcntl.O_CLOEXEC, 0));
                    CloseStep(current, descriptor);
                    current = parent;
                    error = parent < 0 ? -errno.ENAMETOOLONG : 0;
                }
            }
        }

        CloseStep(current, descriptor);
        return error < 0 ? error : -errno.ESTALE;
    }

    private static void CloseStep(int step, int start)
    {
        if (step >= 0 && step != start)
        {
            _ = close(step);
        }
    }

    private static int Identify(int descriptor, out statx status)
    {
        byte empty = 0;
        fixed (statx* buffer = &status)
        {
            return Result(statx(descriptor, &empty, fcntl.AT_EMPTY_PATH, stat.STATX_INO | stat.STATX_MNT_ID, buffer));
        }
    }

    private static bool IsSame(in statx a, in statx b) =>
        a.stx_ino == b.stx_ino && a.stx_dev_major == b.stx_dev_major && a.stx_dev_minor == b.stx_dev_minor && a.stx_mnt_id == b.stx_mnt_id;
}
