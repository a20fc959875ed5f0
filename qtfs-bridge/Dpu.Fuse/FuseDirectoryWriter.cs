using System.Runtime.CompilerServices;
using Dpu.Fuse.Wire;

namespace Dpu.Fuse;

/// <summary>Packs directory entries into the reply of FUSE_READDIR or FUSE_READDIRPLUS, each aligned to 8 bytes.</summary>
/// <param name="buffer">The reply's space, in bytes.</param>
public ref struct FuseDirectoryWriter(Span<byte> buffer)
{
    private readonly Span<byte> _buffer = buffer;

    /// <summary>The number of bytes written.</summary>
    public int Written { get; private set; }

    /// <summary>Whether an entry with a name of <paramref name="nameLength"/> bytes still fits.</summary>
    public readonly bool Fits(int nameLength, bool plus) => SizeOf(nameLength, plus) <= _buffer.Length - Written;

    /// <summary>Adds a plain entry; false where it does not fit (nothing is written then).</summary>
    public bool TryAdd(in fuse_dirent entry, ReadOnlySpan<byte> name)
    {
        if (!Fits(name.Length, plus: false))
        {
            return false;
        }

        Append(entry, name, _buffer.Slice(Written, SizeOf(name.Length, plus: false)));
        Written += SizeOf(name.Length, plus: false);
        return true;
    }

    /// <summary>Adds an entry with its look-up; false where it does not fit (nothing is written then).</summary>
    public bool TryAdd(in fuse_entry_out lookup, in fuse_dirent entry, ReadOnlySpan<byte> name)
    {
        if (!Fits(name.Length, plus: true))
        {
            return false;
        }

        Span<byte> record = _buffer.Slice(Written, SizeOf(name.Length, plus: true));
        Unsafe.WriteUnaligned(ref record[0], lookup);
        Append(entry, name, record[Unsafe.SizeOf<fuse_entry_out>()..]);
        Written += record.Length;
        return true;
    }

    private static int SizeOf(int nameLength, bool plus) =>
        ((plus ? Unsafe.SizeOf<fuse_direntplus>() : Unsafe.SizeOf<fuse_dirent>()) + nameLength + 7) & ~7;

    private static void Append(fuse_dirent entry, ReadOnlySpan<byte> name, Span<byte> record)
    {
        entry.namelen = (uint)name.Length;
        Unsafe.WriteUnaligned(ref record[0], entry);
        name.CopyTo(record[Unsafe.SizeOf<fuse_dirent>()..]);
        record[(Unsafe.SizeOf<fuse_dirent>() + name.Length)..].Clear();
    }
}
