using System.Globalization;
using System.Text;
using Dpu.Linux;
using Dpu.Relay.Descriptors;
using Dpu.Relay.Processes;
using Microsoft.Win32.SafeHandles;

namespace Dpu.HostAgent.Processes;

/// <summary>
/// A file in which a daemon says its number. The DPU names it, and what is there is the program's: it is touched only where it is a regular file of
/// the program's own user, by no link, and says a number that is expected.
/// </summary>
internal static unsafe class PidFile
{
    // As many as a program may have, and as a keeper's note has room for.
    private const int Most = 2;
    private const int MaxPath = 512;
    private const int MaxSize = 32;

    /// <summary>The files that a program's arguments name.</summary>
    /// <param name="spec">It.</param>
    /// <param name="options">Options that are followed by one, or have it behind a <c>=</c>.</param>
    public static IReadOnlyList<string> NamedBy(ProcessSpec spec, IReadOnlyList<string> options)
    {
        List<string> files = [];
        for (int i = 1; i < spec.Arguments.Count && files.Count < Most; i++)
        {
            string argument = Encoding.UTF8.GetString(spec.Arguments[i]);
            string? file = options.Contains(argument) && i + 1 < spec.Arguments.Count ? Encoding.UTF8.GetString(spec.Arguments[i + 1])
                : options.Where(option => argument.StartsWith(option + "=", StringComparison.Ordinal)).Select(option => argument[(option.Length + 1)..]).FirstOrDefault();
            if (file is { Length: > 0 } && Path.Combine(spec.Directory, file) is { Length: <= MaxPath } path && path[0] == '/')
            {
                files.Add(path);
            }
        }

        return files;
    }

    /// <summary>The number that is in it; 0 where there is none.</summary>
    public static int Read(string file, uint uid)
    {
        using SafeFileHandle? handle = Open(file, uid, fcntl.O_RDONLY);
        return handle is null ? 0 : Read(handle);
    }

    /// <summary>Puts another number in the place of the one that is there; false where another one is there, or it is not that user's.</summary>
    public static bool TryReplace(string file, uint uid, int said, int number)
    {
        using SafeFileHandle? handle = Open(file, uid, fcntl.O_RDWR);
        if (handle is null || Read(handle) != said)
        {
            return false;
        }

        byte[] text = Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"{number}\n"));
        fixed (byte* bytes = text)
        {
            // SAFETY: the array's own size. In one write, so that nobody reads a part.
            return LibC.pwrite((int)handle.DangerousGetHandle(), bytes, (nuint)text.Length, 0) == text.Length
                && LibC.ftruncate((int)handle.DangerousGetHandle(), text.Length) == 0;
        }
    }

    private static int Read(SafeFileHandle handle)
    {
        byte[] text = new byte[MaxSize];
        fixed (byte* bytes = text)
        {
            // SAFETY: the array's own size.
            nint got = LibC.pread((int)handle.DangerousGetHandle(), bytes, MaxSize, 0);
            return got > 0 && int.TryParse(Encoding.ASCII.GetString(text, 0, (int)got).Trim(), NumberStyles.None, CultureInfo.InvariantCulture, out int number) ? number : 0;
        }
    }

    // Looked at before it is opened: a device, or a FIFO, would be told of that.
    private static SafeFileHandle? Open(string file, uint uid, int access)
    {
        using SafeFileHandle? place = Descriptor.TryOpen(file, fcntl.O_PATH | fcntl.O_NOFOLLOW, out _);
        if (place is null)
        {
            return null;
        }

        var seen = default(statx);
        byte nothing = 0;

        // SAFETY: one on this stack, and an empty name.
        int error = LibC.statx((int)place.DangerousGetHandle(), &nothing, fcntl.AT_EMPTY_PATH, stat.STATX_BASIC_STATS, &seen);
        return error == 0 && (seen.stx_mode & stat.S_IFMT) == stat.S_IFREG && seen.stx_uid == uid && seen.stx_nlink == 1 && seen.stx_size <= MaxSize
            ? Descriptor.TryOpenAgain(place, access, out _)
            : null;
    }
}
