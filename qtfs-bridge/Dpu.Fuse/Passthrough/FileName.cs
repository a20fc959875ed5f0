using Dpu.Linux;

namespace Dpu.Fuse;

/// <summary>Names for the kernel: checked once more, and ended by NUL. The dispatcher checks too, but this is the wall.</summary>
internal static unsafe class FileName
{
    /// <summary>The bytes a name takes at most, its NUL included.</summary>
    public const int MaxSize = limits.NAME_MAX + 1;

    /// <summary>Copies one component of a path; <c>-EINVAL</c> for what is none, <c>-ENAMETOOLONG</c> over 255 bytes.</summary>
    /// <param name="name">The peer's bytes.</param>
    /// <param name="target">At least <see cref="MaxSize"/> bytes.</param>
    public static int Copy(ReadOnlySpan<byte> name, byte* target)
    {
        if (name.Length > limits.NAME_MAX)
        {
            return -errno.ENAMETOOLONG;
        }

        if (name.IsEmpty || name.SequenceEqual("."u8) || name.SequenceEqual(".."u8) || name.Contains((byte)'/'))
        {
            return -errno.EINVAL;
        }

        return CopyText(name, target, MaxSize);
    }

    /// <summary>Copies any bytes without NUL: the target of a symbolic link, the name of an attribute.</summary>
    /// <param name="text">The peer's bytes.</param>
    /// <param name="target">The space.</param>
    /// <param name="size">Its bytes; a text that leaves no room for NUL is <c>-ENAMETOOLONG</c>.</param>
    public static int CopyText(ReadOnlySpan<byte> text, byte* target, int size)
    {
        if (text.Length >= size)
        {
            return -errno.ENAMETOOLONG;
        }

        if (text.Contains((byte)0))
        {
            return -errno.EINVAL;
        }

        // SAFETY: the caller gives size bytes, and Length + 1 of them are written.
        text.CopyTo(new Span<byte>(target, size));
        target[text.Length] = 0;
        return 0;
    }
}
