using System.Buffers.Text;

namespace Dpu.Fuse;

/// <summary>
/// The path of a descriptor of this process below /proc, by which an O_PATH descriptor is reopened and by which calls
/// reach it that take a path only. The kernel follows it to the very file, whatever its names are now (proc_pid_fd(5)).
/// </summary>
internal static unsafe class DescriptorPath
{
    /// <summary>The bytes that <see cref="Format"/> writes at most, its NUL included.</summary>
    public const int MaxSize = 32;

    private const string Folder = "/proc/self/fd/";

    /// <summary>Writes <c>/proc/self/fd/N</c> and NUL; returns where N begins, the name relative to the folder.</summary>
    /// <param name="descriptor">N, not negative.</param>
    /// <param name="path">At least <see cref="MaxSize"/> bytes.</param>
    public static byte* Format(int descriptor, byte* path)
    {
        // SAFETY: the caller gives MaxSize bytes; the folder takes 14, the longest number 10, NUL 1.
        var text = new Span<byte>(path, MaxSize);
        "/proc/self/fd/"u8.CopyTo(text);
        _ = Utf8Formatter.TryFormat(descriptor, text[Folder.Length..], out int digits);
        text[Folder.Length + digits] = 0;
        return path + Folder.Length;
    }
}
