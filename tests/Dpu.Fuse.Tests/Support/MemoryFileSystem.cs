using System.Text;
using Dpu.Fuse.Wire;
using Dpu.Linux;

namespace Dpu.Fuse.Tests.Support;

/// <summary>Files and directories in memory, enough for a real mount. Thread-safe by one lock.</summary>
internal sealed unsafe class MemoryFileSystem : FuseFileSystem
{
    private const uint Directory = 0x4000;
    private const uint Regular = 0x8000;
    private readonly Lock _lock = new();
    private readonly Dictionary<ulong, Node> _nodes = new() { [1] = new Node(Directory | 0x1ED) };
    private ulong _last = 1;

    internal int Destroyed { get; private set; }

    /// <summary>Reads of the file named "blocked" wait for it.</summary>
    internal ManualResetEventSlim Gate { get; } = new(initialState: true);

    /// <summary>Set when such a read has come.</summary>
    internal ManualResetEventSlim Blocked { get; } = new();

    /// <summary>Fills a directory without the kernel.</summary>
    internal void AddFiles(string directory, int count)
    {
        lock (_lock)
        {
            Node parent = _nodes[Add(_nodes[1], Encoding.UTF8.GetBytes(directory), Directory | 0x1ED)];
            for (int i = 0; i < count; i++)
            {
                Add(parent, Encoding.UTF8.GetBytes($"file-{i:d6}"), Regular | 0x1A4);
            }
        }
    }

    public override int Init(in fuse_init_in request, ref fuse_init_out reply) => 0;

    public override void Destroy() => Destroyed++;

    public override int Lookup(in FuseCaller caller, ulong parent, ReadOnlySpan<byte> name, out fuse_entry_out entry)
    {
        lock (_lock)
        {
            entry = default;
            if (Find(parent, name) is not { } node)
            {
                return -errno.ENOENT;
            }

            entry = EntryOf(node);
            return 0;
        }
    }

    public override int GetAttr(in FuseCaller caller, ulong node, in fuse_getattr_in request, out fuse_attr_out reply)
    {
        lock (_lock)
        {
            reply = new fuse_attr_out { attr = AttributesOf(node) };
            return 0;
        }
    }

    public override int SetAttr(in FuseCaller caller, ulong node, in fuse_setattr_in request, out fuse_attr_out reply)
    {
        lock (_lock)
        {
            if ((request.valid & FuseConstants.FATTR_SIZE) != 0)
            {
                Array.Resize(ref _nodes[node].Data, (int)request.size);
            }

            if ((request.valid & FuseConstants.FATTR_MODE) != 0)
            {
                _nodes[node].Mode = request.mode;
            }

            reply = new fuse_attr_out { attr = AttributesOf(node) };
            return 0;
        }
    }

    public override int MkDir(in FuseCaller caller, ulong parent, ReadOnlySpan<byte> name, in fuse_mkdir_in request, out fuse_entry_out entry)
    {
        lock (_lock)
        {
            entry = EntryOf(Add(_nodes[parent], name.ToArray(), Directory | request.mode));
            return 0;
        }
    }

    public override int Create(in FuseCaller caller, ulong parent, ReadOnlySpan<byte> name, in fuse_create_in request, out fuse_entry_out entry, out fuse_open_out reply)
    {
        lock (_lock)
        {
            reply = default;
            entry = EntryOf(Add(_nodes[parent], name.ToArray(), request.mode));
            return 0;
        }
    }

    public override int Unlink(in FuseCaller caller, ulong parent, ReadOnlySpan<byte> name)
    {
        lock (_lock)
        {
            return _nodes[parent].Entries.Remove(Encoding.UTF8.GetString(name)) ? 0 : -errno.ENOENT;
        }
    }

    public override int Open(in FuseCaller caller, ulong node, in fuse_open_in request, out fuse_open_out reply)
    {
        reply = new fuse_open_out { open_flags = FuseConstants.FOPEN_DIRECT_IO };
        return 0;
    }

    public override int OpenDir(in FuseCaller caller, ulong node, in fuse_open_in request, out fuse_open_out reply)
    {
        reply = default;
        return 0;
    }

    public override int Flush(in FuseCaller caller, ulong node, in fuse_flush_in request) => 0;

    public override int Read(in FuseCaller caller, ulong node, in fuse_read_in request, iovec* destination, int count)
    {
        bool waits;
        lock (_lock)
        {
            waits = _nodes[1].Entries.TryGetValue("blocked", out ulong blocked) && blocked == node;
        }

        if (waits)
        {
            Blocked.Set();
            Gate.Wait();
        }

        lock (_lock)
        {
            ReadOnlySpan<byte> data = _nodes[node].Data.AsSpan((int)Math.Min(request.offset, (ulong)_nodes[node].Data.Length));
            data = data[..Math.Min(data.Length, (int)request.size)];
            data.CopyTo(new Span<byte>(destination->iov_base, (int)destination->iov_len));
            return data.Length;
        }
    }

    public override int Write(in FuseCaller caller, ulong node, in fuse_write_in request, iovec* source, int count)
    {
        lock (_lock)
        {
            Node file = _nodes[node];
            int end = (int)request.offset + (int)request.size;
            if (file.Data.Length < end)
            {
                Array.Resize(ref file.Data, end);
            }

            new ReadOnlySpan<byte>(source->iov_base, (int)request.size).CopyTo(file.Data.AsSpan((int)request.offset));
            return (int)request.size;
        }
    }

    public override int ReadDir(in FuseCaller caller, ulong node, in fuse_read_in request, bool plus, ref FuseDirectoryWriter entries)
    {
        lock (_lock)
        {
            IList<string> names = _nodes[node].Entries.Keys;
            for (int i = (int)request.offset; i < names.Count; i++)
            {
                ulong child = _nodes[node].Entries.Values[i];
                var entry = new fuse_dirent { ino = child, off = (ulong)i + 1, type = _nodes[child].Mode >> 12 };
                byte[] name = Encoding.UTF8.GetBytes(names[i]);
                if (plus ? !entries.TryAdd(EntryOf(child), entry, name) : !entries.TryAdd(entry, name))
                {
                    break;
                }
            }

            return 0;
        }
    }

    public override int StatFs(in FuseCaller caller, ulong node, out fuse_statfs_out reply)
    {
        reply = default;
        reply.st.bsize = 4096;
        reply.st.blocks = 1234;
        reply.st.namelen = 255;
        return 0;
    }

    private ulong Add(Node parent, byte[] name, uint mode)
    {
        _nodes[++_last] = new Node(mode);
        parent.Entries[Encoding.UTF8.GetString(name)] = _last;
        return _last;
    }

    private ulong? Find(ulong parent, ReadOnlySpan<byte> name) => _nodes[parent].Entries.TryGetValue(Encoding.UTF8.GetString(name), out ulong node) ? node : null;

    private fuse_entry_out EntryOf(ulong node) => new() { nodeid = node, attr = AttributesOf(node) };

    private fuse_attr AttributesOf(ulong node) =>
        new() { ino = node, mode = _nodes[node].Mode, nlink = 1, size = (ulong)_nodes[node].Data.Length, blksize = 4096 };

    private sealed class Node(uint mode)
    {
        internal byte[] Data = [];

        internal uint Mode { get; set; } = mode;

        internal SortedList<string, ulong> Entries { get; } = new(StringComparer.Ordinal);
    }
}
