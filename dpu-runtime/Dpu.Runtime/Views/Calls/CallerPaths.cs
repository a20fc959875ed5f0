using System.Globalization;
using System.Text;
using Dpu.Linux;
using Dpu.Relay.Descriptors;
using Microsoft.Win32.SafeHandles;

namespace Dpu.Runtime.Views.Calls;

/// <summary>
/// Finds what a caller names, as the kernel would for it: from its root, its working directory and its descriptors. May wait for a host. Pure but for the kernel.
/// </summary>
internal static unsafe class CallerPaths
{
    // openat2(2): a rename anywhere makes a bounded walk with ".." give up.
    private const int Attempts = 8;

    // What of the magic links of /proc programs use for mounts; in the runtime's own they would be the runtime's.
    private static readonly string[] s_descriptors = ["/proc/self/fd/", "/proc/thread-self/fd/", "/dev/fd/"];

    /// <summary>Opens it with O_PATH; null where it is not there, or is found by a magic link of another kind, which the kernel is left.</summary>
    /// <param name="thread">The caller.</param>
    /// <param name="path">The path, not empty.</param>
    /// <param name="follow">Whether a symbolic link at its end is followed.</param>
    public static SafeFileHandle? TryOpen(uint thread, ReadOnlySpan<byte> path, bool follow)
    {
        string own = string.Create(CultureInfo.InvariantCulture, $"/proc/{thread}/");
        foreach (string beginning in s_descriptors)
        {
            if (path.StartsWith(Encoding.ASCII.GetBytes(beginning)))
            {
                return ByDescriptor(own, path[beginning.Length..], follow);
            }
        }

        int flags = follow ? 0 : fcntl.O_NOFOLLOW;
        using SafeFileHandle? root = Descriptor.TryOpen(own + "root", fcntl.O_PATH | fcntl.O_DIRECTORY, out _);
        if (root is null || path[0] == (byte)'/')
        {
            return root is null ? null : Open(root, path, flags, openat2_h.RESOLVE_IN_ROOT, out _);
        }

        using SafeFileHandle? directory = Descriptor.TryOpen(own + "cwd", fcntl.O_PATH | fcntl.O_DIRECTORY, out _);
        if (directory is null)
        {
            return null;
        }

        SafeFileHandle? found = Open(directory, path, flags, openat2_h.RESOLVE_BENEATH | openat2_h.RESOLVE_NO_MAGICLINKS, out int error);
        return found is null && error == errno.EXDEV && WholeOf(own, path) is { } whole ? Open(root, whole, flags, openat2_h.RESOLVE_IN_ROOT, out _) : found;
    }

    private static SafeFileHandle? ByDescriptor(string own, ReadOnlySpan<byte> path, bool follow)
    {
        int slash = path.IndexOf((byte)'/');
        string number = Encoding.ASCII.GetString(slash < 0 ? path : path[..slash]);
        ReadOnlySpan<byte> rest = slash < 0 ? [] : path[slash..].Trim((byte)'/');
        if (!int.TryParse(number, NumberStyles.None, CultureInfo.InvariantCulture, out _))
        {
            return null;
        }

        SafeFileHandle? from = Descriptor.TryOpen($"{own}fd/{number}", fcntl.O_PATH, out _);
        if (from is null || rest.IsEmpty)
        {
            return from;
        }

        using (from)
        {
            return Open(from, rest, follow ? 0 : fcntl.O_NOFOLLOW, openat2_h.RESOLVE_BENEATH | openat2_h.RESOLVE_NO_MAGICLINKS, out _);
        }
    }

    // Where ".." or a link leads above the working directory: by the path of that.
    private static byte[]? WholeOf(string own, ReadOnlySpan<byte> path)
    {
        string? root = Target(own + "root");
        string? directory = Target(own + "cwd");
        if (root is null || directory is null || !directory.StartsWith('/') || !(directory + "/").StartsWith(root == "/" ? "/" : root + "/", StringComparison.Ordinal))
        {
            return null;
        }

        return [.. Encoding.UTF8.GetBytes(root == "/" ? directory : directory[root.Length..]), (byte)'/', .. path];
    }

    private static string? Target(string link)
    {
        try
        {
            return new FileInfo(link).LinkTarget;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // Expected: the caller was killed meanwhile.
            return null;
        }
    }

    private static SafeFileHandle? Open(SafeFileHandle from, ReadOnlySpan<byte> path, int flags, ulong resolve, out int error)
    {
        byte[] name = [.. path, 0];
        var how = new open_how { flags = (ulong)(fcntl.O_PATH | fcntl.O_CLOEXEC | flags), resolve = resolve };
        fixed (byte* bytes = name)
        {
            int result = -errno.EAGAIN;
            for (int attempt = 0; attempt < Attempts && result == -errno.EAGAIN; attempt++)
            {
                // SAFETY: pinned, with an end; the struct is on this stack.
                result = LibC.Result(LibC.openat2((int)from.DangerousGetHandle(), bytes, &how));
            }

            error = Math.Max(0, -result);
            return result < 0 ? null : new SafeFileHandle(result, ownsHandle: true);
        }
    }
}
