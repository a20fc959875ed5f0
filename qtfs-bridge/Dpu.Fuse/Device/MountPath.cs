using System.Globalization;
using System.Text;
using Dpu.Linux;
using Microsoft.Win32.SafeHandles;

namespace Dpu.Fuse;

/// <summary>Paths of mount points, as bytes without a final NUL.</summary>
internal static unsafe class MountPath
{
    private const int LongestPath = 4096;

    /// <summary>The directory's path without symbolic links, as the mount table has it. Does not ask the file system there.</summary>
    /// <exception cref="FuseMountException">There is none, or it is not a directory.</exception>
    internal static byte[] Canonical(string path)
    {
        int descriptor;
        fixed (byte* name = Encoding.UTF8.GetBytes(path + '\0'))
        {
            // SAFETY: a NUL-terminated string, pinned during the call. O_PATH sends no request to a FUSE server.
            descriptor = LibC.Result(LibC.openat(fcntl.AT_FDCWD, name, fcntl.O_PATH | fcntl.O_DIRECTORY | fcntl.O_CLOEXEC, 0));
        }

        if (descriptor < 0)
        {
            throw new FuseMountException($"Opening the mount point '{path}' failed", -descriptor, descriptor == -errno.ENOENT ? "make the directory first" : null);
        }

        using var handle = new SafeFileHandle(descriptor, ownsHandle: true);
        byte[] link = Encoding.UTF8.GetBytes(string.Create(CultureInfo.InvariantCulture, $"/proc/self/fd/{descriptor}\0"));
        byte[] target = new byte[LongestPath];
        fixed (byte* name = link, buffer = target)
        {
            // SAFETY: a NUL-terminated string and a buffer of the size given, both pinned during the call.
            long length = LibC.Result(LibC.readlinkat(fcntl.AT_FDCWD, name, buffer, (nuint)target.Length));
            return length >= 0 ? target[..(int)length] : throw new FuseMountException($"Reading the mount point '{path}' back failed", (int)-length);
        }
    }

    /// <summary>umount2(2) of the top mount at a canonical path; 0 or a negated errno.</summary>
    internal static int Unmount(ReadOnlySpan<byte> path, bool lazy)
    {
        fixed (byte* name = path.ToNulTerminated())
        {
            // SAFETY: a NUL-terminated string, pinned during the call.
            return LibC.Result(LibC.umount2(name, mount.UMOUNT_NOFOLLOW | (lazy ? mount.MNT_DETACH : 0)));
        }
    }

    internal static byte[] ToNulTerminated(this ReadOnlySpan<byte> path)
    {
        byte[] result = new byte[path.Length + 1];
        path.CopyTo(result);
        return result;
    }

    internal static byte[] ToNulTerminated(this Span<byte> path) => ToNulTerminated((ReadOnlySpan<byte>)path);
}
