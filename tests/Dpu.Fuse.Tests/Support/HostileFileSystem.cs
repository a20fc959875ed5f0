using Dpu.Fuse.Wire;
using Dpu.Linux;

namespace Dpu.Fuse.Tests.Support;

/// <summary>Touches every byte that it is given, and returns what no file system should: too much, and errors that are none.</summary>
internal sealed unsafe class HostileFileSystem : FuseFileSystem
{
    private static readonly int[] Results = [0, 0, 1, 7, -1, -38, -511, -512, -4096, int.MinValue, 4096, 1 << 20, int.MaxValue];
    private int _turn;
    private int _sum;

    public override int Lookup(in FuseCaller caller, ulong parent, ReadOnlySpan<byte> name, out fuse_entry_out entry)
    {
        entry = default;
        return Touch(name);
    }

    public override int SymLink(in FuseCaller caller, ulong parent, ReadOnlySpan<byte> name, ReadOnlySpan<byte> target, out fuse_entry_out entry)
    {
        entry = default;
        return Touch(name) | Touch(target);
    }

    public override int MkDir(in FuseCaller caller, ulong parent, ReadOnlySpan<byte> name, in fuse_mkdir_in request, out fuse_entry_out entry)
    {
        entry = default;
        foreach (uint group in caller.SupplementaryGroups)
        {
            _sum += (int)group;
        }

        return Touch(name);
    }

    public override int Create(in FuseCaller caller, ulong parent, ReadOnlySpan<byte> name, in fuse_create_in request, out fuse_entry_out entry, out fuse_open_out reply)
    {
        entry = default;
        reply = default;
        return Touch(name);
    }

    public override int Rename(in FuseCaller caller, ulong parent, ReadOnlySpan<byte> name, ulong newParent, ReadOnlySpan<byte> newName, uint flags) => Touch(name) | Touch(newName);
    public override int GetAttr(in FuseCaller caller, ulong node, in fuse_getattr_in request, out fuse_attr_out reply) { reply = default; return Next(); }
    public override int ReadLink(in FuseCaller caller, ulong node, Span<byte> target) => Fill(target);
    public override int Read(in FuseCaller caller, ulong node, in fuse_read_in request, iovec* destination, int count) => Fill(new Span<byte>(destination->iov_base, (int)destination->iov_len));
    public override int Write(in FuseCaller caller, ulong node, in fuse_write_in request, iovec* source, int count) => Touch(new ReadOnlySpan<byte>(source->iov_base, (int)source->iov_len));
    public override int SetXAttr(in FuseCaller caller, ulong node, ReadOnlySpan<byte> name, ReadOnlySpan<byte> value, in fuse_setxattr_in request) => Touch(name) | Touch(value);
    public override int GetXAttr(in FuseCaller caller, ulong node, ReadOnlySpan<byte> name, Span<byte> value) => Touch(name) | Fill(value);
    public override int ListXAttr(in FuseCaller caller, ulong node, Span<byte> list) => Fill(list);
    public override int CopyFileRange(in FuseCaller caller, ulong node, in fuse_copy_file_range_in request) => Next();
    public override int Flush(in FuseCaller caller, ulong node, in fuse_flush_in request) => Next();

    public override int ReadDir(in FuseCaller caller, ulong node, in fuse_read_in request, bool plus, ref FuseDirectoryWriter entries)
    {
        while (plus ? entries.TryAdd(default, default, "a name of some length"u8) : entries.TryAdd(default, "another"u8))
        {
            _sum++;
        }

        return Next();
    }

    public override int Ioctl(in FuseCaller caller, ulong node, in fuse_ioctl_in request, ReadOnlySpan<byte> input, Span<byte> output, out int result)
    {
        result = -1;
        return Touch(input) | Fill(output);
    }

    private int Touch(ReadOnlySpan<byte> bytes)
    {
        foreach (byte value in bytes)
        {
            _sum += value;
        }

        return Next();
    }

    private int Fill(Span<byte> bytes)
    {
        bytes.Fill(0xEE);
        return Next();
    }

    private int Next() => Results[_turn = (_turn + 1) % Results.Length];
}
