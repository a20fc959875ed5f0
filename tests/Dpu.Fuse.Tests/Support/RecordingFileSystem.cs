using System.Text;
using Dpu.Fuse.Wire;
using Dpu.Linux;

namespace Dpu.Fuse.Tests.Support;

/// <summary>Writes down each call with its arguments, and answers as it is told.</summary>
internal sealed unsafe class RecordingFileSystem : FuseFileSystem
{
    internal const ulong EntryNode = 42;
    internal const ulong Handle = 77;

    internal List<string> Calls { get; } = [];

    /// <summary>What every call returns.</summary>
    internal int Result { get; set; }

    /// <summary>Thrown by every call where set.</summary>
    internal Exception? Throws { get; set; }

    internal Func<fuse_init_out, fuse_init_out> OnInit { get; set; } = reply => reply;

    internal string Single
    {
        get
        {
            Assert.HasCount(1, Calls, string.Join('\n', Calls));
            return Calls[0];
        }
    }

    public override int Init(in fuse_init_in request, ref fuse_init_out reply)
    {
        reply = OnInit(reply);
        return Math.Min(Result, 0);
    }

    public override void Destroy() => Calls.Add("Destroy");
    public override int Lookup(in FuseCaller caller, ulong parent, ReadOnlySpan<byte> name, out fuse_entry_out entry) => Entry(out entry, caller, $"Lookup {parent} {Text(name)}");
    public override void Forget(ulong node, ulong count) => Calls.Add($"Forget {node} {count}");
    public override int GetAttr(in FuseCaller caller, ulong node, in fuse_getattr_in request, out fuse_attr_out reply) => Attributes(out reply, caller, $"GetAttr {node} {request.getattr_flags} {request.fh}");

    public override int StatX(in FuseCaller caller, ulong node, in fuse_statx_in request, out fuse_statx_out reply)
    {
        reply = default;
        return Status(caller, $"StatX {node} {request.getattr_flags} {request.fh} {request.sx_mask:x}");
    }

    public override int SetAttr(in FuseCaller caller, ulong node, in fuse_setattr_in request, out fuse_attr_out reply) => Attributes(out reply, caller, $"SetAttr {node} {request.valid} {request.size} {request.mode}");
    public override int ReadLink(in FuseCaller caller, ulong node, Span<byte> target) => Fill(target, caller, $"ReadLink {node} {target.Length}");
    public override int SymLink(in FuseCaller caller, ulong parent, ReadOnlySpan<byte> name, ReadOnlySpan<byte> target, out fuse_entry_out entry) => Entry(out entry, caller, $"SymLink {parent} {Text(name)} {Text(target)}");
    public override int MkNod(in FuseCaller caller, ulong parent, ReadOnlySpan<byte> name, in fuse_mknod_in request, out fuse_entry_out entry) => Entry(out entry, caller, $"MkNod {parent} {Text(name)} {request.mode} {request.rdev} {request.umask}");
    public override int MkDir(in FuseCaller caller, ulong parent, ReadOnlySpan<byte> name, in fuse_mkdir_in request, out fuse_entry_out entry) => Entry(out entry, caller, $"MkDir {parent} {Text(name)} {request.mode} {request.umask}");
    public override int Unlink(in FuseCaller caller, ulong parent, ReadOnlySpan<byte> name) => Status(caller, $"Unlink {parent} {Text(name)}");
    public override int RmDir(in FuseCaller caller, ulong parent, ReadOnlySpan<byte> name) => Status(caller, $"RmDir {parent} {Text(name)}");
    public override int Rename(in FuseCaller caller, ulong parent, ReadOnlySpan<byte> name, ulong newParent, ReadOnlySpan<byte> newName, uint flags) => Status(caller, $"Rename {parent} {Text(name)} {newParent} {Text(newName)} {flags}");
    public override int Link(in FuseCaller caller, ulong node, ulong newParent, ReadOnlySpan<byte> newName, out fuse_entry_out entry) => Entry(out entry, caller, $"Link {node} {newParent} {Text(newName)}");
    public override int Open(in FuseCaller caller, ulong node, in fuse_open_in request, out fuse_open_out reply) => Opened(out reply, caller, $"Open {node} {request.flags:x}");
    public override int OpenDir(in FuseCaller caller, ulong node, in fuse_open_in request, out fuse_open_out reply) => Opened(out reply, caller, $"OpenDir {node} {request.flags:x}");

    public override int Create(in FuseCaller caller, ulong parent, ReadOnlySpan<byte> name, in fuse_create_in request, out fuse_entry_out entry, out fuse_open_out reply)
    {
        reply = new fuse_open_out { fh = Handle };
        return Entry(out entry, caller, $"Create {parent} {Text(name)} {request.flags:x} {request.mode} {request.umask}");
    }

    public override int TmpFile(in FuseCaller caller, ulong parent, in fuse_create_in request, out fuse_entry_out entry, out fuse_open_out reply)
    {
        reply = new fuse_open_out { fh = Handle };
        return Entry(out entry, caller, $"TmpFile {parent} {request.flags:x} {request.mode}");
    }

    public override int Read(in FuseCaller caller, ulong node, in fuse_read_in request, iovec* destination, int count) =>
        Fill(new Span<byte>(destination->iov_base, (int)destination->iov_len), caller, $"Read {node} {request.fh} {request.offset} {request.size} {request.flags:x} {count}");

    public override int Write(in FuseCaller caller, ulong node, in fuse_write_in request, iovec* source, int count) =>
        Status(caller, $"Write {node} {request.fh} {request.offset} {request.size} {request.flags:x} {Text(new ReadOnlySpan<byte>(source->iov_base, (int)source->iov_len))} {count}");

    public override int StatFs(in FuseCaller caller, ulong node, out fuse_statfs_out reply)
    {
        reply = default;
        reply.st.blocks = 99;
        return Status(caller, $"StatFs {node}");
    }

    public override int Release(in FuseCaller caller, ulong node, in fuse_release_in request) => Status(caller, $"Release {node} {request.fh} {request.flags:x} {request.release_flags}");
    public override int ReleaseDir(in FuseCaller caller, ulong node, in fuse_release_in request) => Status(caller, $"ReleaseDir {node} {request.fh}");
    public override int FSync(in FuseCaller caller, ulong node, in fuse_fsync_in request) => Status(caller, $"FSync {node} {request.fh} {request.fsync_flags}");
    public override int FSyncDir(in FuseCaller caller, ulong node, in fuse_fsync_in request) => Status(caller, $"FSyncDir {node} {request.fh} {request.fsync_flags}");
    public override int Flush(in FuseCaller caller, ulong node, in fuse_flush_in request) => Status(caller, $"Flush {node} {request.fh} {request.lock_owner}");
    public override int SetXAttr(in FuseCaller caller, ulong node, ReadOnlySpan<byte> name, ReadOnlySpan<byte> value, in fuse_setxattr_in request) => Status(caller, $"SetXAttr {node} {Text(name)} {Text(value)} {request.flags} {request.setxattr_flags}");
    public override int GetXAttr(in FuseCaller caller, ulong node, ReadOnlySpan<byte> name, Span<byte> value) => Fill(value, caller, $"GetXAttr {node} {Text(name)} {value.Length}");
    public override int ListXAttr(in FuseCaller caller, ulong node, Span<byte> list) => Fill(list, caller, $"ListXAttr {node} {list.Length}");
    public override int RemoveXAttr(in FuseCaller caller, ulong node, ReadOnlySpan<byte> name) => Status(caller, $"RemoveXAttr {node} {Text(name)}");

    public override int ReadDir(in FuseCaller caller, ulong node, in fuse_read_in request, bool plus, ref FuseDirectoryWriter entries)
    {
        for (int i = 0; i < 3; i++)
        {
            var entry = new fuse_dirent { ino = (ulong)i + 1, off = (ulong)i + 1, type = 8 };
            _ = plus ? entries.TryAdd(new fuse_entry_out { nodeid = EntryNode }, entry, "abc"u8) : entries.TryAdd(entry, "abc"u8);
        }

        return Status(caller, $"ReadDir {node} {request.fh} {request.offset} {request.size} {plus}");
    }

    public override int Access(in FuseCaller caller, ulong node, uint mask) => Status(caller, $"Access {node} {mask}");

    public override int GetLk(in FuseCaller caller, ulong node, in fuse_lk_in request, out fuse_lk_out reply)
    {
        reply = new fuse_lk_out { lk = request.lk };
        return Status(caller, $"GetLk {node} {request.fh} {request.lk.start} {request.lk.end}");
    }

    public override int SetLk(in FuseCaller caller, ulong node, in fuse_lk_in request, bool wait) => Status(caller, $"SetLk {node} {request.fh} {request.lk.type} {wait}");
    public override void Interrupt(ulong unique) => Calls.Add($"Interrupt {unique}");

    public override int Poll(in FuseCaller caller, ulong node, in fuse_poll_in request, out uint events)
    {
        events = request.events;
        return Status(caller, $"Poll {node} {request.fh} {request.kh} {request.flags} {request.events}");
    }

    public override int Ioctl(in FuseCaller caller, ulong node, in fuse_ioctl_in request, ReadOnlySpan<byte> input, Span<byte> output, out int result)
    {
        result = 5;
        return Fill(output, caller, $"Ioctl {node} {request.cmd} {Text(input)} {output.Length}");
    }

    public override int FAllocate(in FuseCaller caller, ulong node, in fuse_fallocate_in request) => Status(caller, $"FAllocate {node} {request.offset} {request.length} {request.mode}");

    public override int LSeek(in FuseCaller caller, ulong node, in fuse_lseek_in request, out fuse_lseek_out reply)
    {
        reply = new fuse_lseek_out { offset = request.offset + 1 };
        return Status(caller, $"LSeek {node} {request.fh} {request.offset} {request.whence}");
    }

    public override int CopyFileRange(in FuseCaller caller, ulong node, in fuse_copy_file_range_in request) => Status(caller, $"CopyFileRange {node} {request.nodeid_out} {request.len}");
    public override int SyncFs(in FuseCaller caller, ulong node) => Status(caller, $"SyncFs {node}");

    private int Status(in FuseCaller caller, string call)
    {
        Calls.Add($"{call} by {caller.Uid}:{caller.Gid}:{caller.Pid}" + (caller.SupplementaryGroups.IsEmpty ? "" : $" in {string.Join(',', caller.SupplementaryGroups.ToArray())}"));
        return Throws is null ? Result : throw Throws;
    }

    private int Entry(out fuse_entry_out entry, in FuseCaller caller, string call)
    {
        entry = new fuse_entry_out { nodeid = EntryNode };
        return Status(caller, call);
    }

    private int Attributes(out fuse_attr_out reply, in FuseCaller caller, string call)
    {
        reply = new fuse_attr_out { attr = new fuse_attr { ino = EntryNode } };
        return Status(caller, call);
    }

    private int Opened(out fuse_open_out reply, in FuseCaller caller, string call)
    {
        reply = new fuse_open_out { fh = Handle };
        return Status(caller, call);
    }

    private int Fill(Span<byte> target, in FuseCaller caller, string call)
    {
        target[..Math.Clamp(Result, 0, target.Length)].Fill((byte)'x');
        return Status(caller, call);
    }

    private static string Text(ReadOnlySpan<byte> bytes) => Encoding.UTF8.GetString(bytes);
}
