using System.Runtime.CompilerServices;
using Dpu.Fuse;
using Dpu.Fuse.Wire;
using Dpu.Linux;
using Dpu.Qtfs.Mount.Handover;

namespace Dpu.Qtfs.Mount.Held;

/// <summary>
/// What the kernel has of the host: nodes by their names, open files, locks. A host that has lost all that (it was rebooted) is told it by
/// <see cref="HostReturn"/>; what cannot be had again answers ESTALE, and a file that had locks EIO, until it is closed. Thread-safe.
/// </summary>
internal sealed unsafe partial class HeldFiles
{
    private readonly Lock _lock = new();
    private readonly HeldNodes _nodes;
    private readonly HeldHandles _handles;
    private readonly HeldLocks _locks = new();

    // Open files that the host has lost, and those whose locks it has. Not in the table: the host gives their indices to others.
    private readonly KnownIds _stale;
    private readonly KnownIds _unlocked;
    private int _lost;

    // In which life the host has what is here; 0 while it has not said so.
    private ulong _life;

    /// <param name="state">Where it is kept, and what an earlier runtime has left.</param>
    public HeldFiles(KeptState state)
    {
        _life = *state.HostState;
        _nodes = new HeldNodes(state);
        _handles = new HeldHandles(state);
        _stale = new KnownIds(state, "held/stale");
        _unlocked = new KnownIds(state, "held/unlocked");
        _lost = _stale.All().Concat(_unlocked.All()).Count();
        foreach (int index in _handles.Indices())
        {
            ref HeldHandle file = ref _handles.At(index);
            if ((file.Marks & HeldMarks.Locked) != 0)
            {
                // Which range only the earlier runtime knew: all, until the file is closed.
                _locks.Change(file.Node, ~file.Handle, new LockRange(0, long.MaxValue, Exclusive: true, file.Handle), unlocks: false);
            }
        }
    }

    /// <summary>A request is about to be sent for the first time.</summary>
    public void Sending(byte* request, int length)
    {
        // SAFETY: the kernel writes whole messages only; the lengths are checked all the same.
        var header = (fuse_in_header*)request;
        byte* body = request + sizeof(fuse_in_header);
        switch ((fuse_opcode)header->opcode)
        {
            case fuse_opcode.FUSE_RELEASE or fuse_opcode.FUSE_RELEASEDIR when length >= sizeof(fuse_in_header) + sizeof(fuse_release_in):
                lock (_lock)
                {
                    End(header->nodeid, ((fuse_release_in*)body)->fh);
                }

                break;

            case fuse_opcode.FUSE_FLUSH when length >= sizeof(fuse_in_header) + sizeof(fuse_flush_in):
                lock (_lock)
                {
                    ulong owner = ((fuse_flush_in*)body)->lock_owner;
                    ulong[] handles = _locks.HandlesOf(header->nodeid, owner);
                    _locks.End(header->nodeid, owner);
                    Mark(header->nodeid, handles);
                }

                break;
        }
    }

    /// <summary>References are given back; call it once for each such request, while the host that is to hear of it is the one that knows them.</summary>
    public void Forgetting(byte* request, int length)
    {
        var header = (fuse_in_header*)request;
        byte* body = request + sizeof(fuse_in_header);
        int size = length - sizeof(fuse_in_header);
        lock (_lock)
        {
            if (header->opcode == (uint)fuse_opcode.FUSE_FORGET && size >= sizeof(fuse_forget_in))
            {
                _nodes.Forget(header->nodeid, ((fuse_forget_in*)body)->nlookup);
            }
            else if (header->opcode == (uint)fuse_opcode.FUSE_BATCH_FORGET && size >= sizeof(fuse_batch_forget_in))
            {
                long count = Math.Min(((fuse_batch_forget_in*)body)->count, (size - sizeof(fuse_batch_forget_in)) / sizeof(fuse_forget_one));
                var each = (fuse_forget_one*)(body + sizeof(fuse_batch_forget_in));
                for (long i = 0; i < count; i++)
                {
                    _nodes.Forget(each[i].nodeid, each[i].nlookup);
                }
            }
        }
    }

    /// <summary>A request was answered; call it before the kernel is.</summary>
    /// <param name="request">The request.</param>
    /// <param name="length">Its length in bytes.</param>
    /// <param name="reply">The answer.</param>
    /// <param name="replyLength">Its length in bytes.</param>
    /// <param name="life">In which life the host has answered.</param>
    public void Answered(byte* request, int length, byte* reply, int replyLength, ulong life)
    {
        // SAFETY: both are whole messages; the host is not trusted, and every read of its answer is bounded.
        var header = (fuse_in_header*)request;
        if (Volatile.Read(ref _lost) != 0 && header->opcode == (uint)fuse_opcode.FUSE_FLUSH && IsLost(HandleOf(header, length), out int error))
        {
            ((fuse_out_header*)reply)->error = error;
        }

        if (((fuse_out_header*)reply)->error != 0)
        {
            return;
        }

        byte* body = reply + sizeof(fuse_out_header);
        int size = replyLength - sizeof(fuse_out_header);
        switch ((fuse_opcode)header->opcode)
        {
            case fuse_opcode.FUSE_OPEN or fuse_opcode.FUSE_OPENDIR when size >= sizeof(fuse_open_out) && length >= sizeof(fuse_in_header) + sizeof(fuse_open_in):
                HeldMarks marks = header->opcode == (uint)fuse_opcode.FUSE_OPENDIR ? HeldMarks.Directory : HeldMarks.None;
                Opened(header, ((fuse_open_out*)body)->fh, header->nodeid, ((fuse_open_in*)(request + sizeof(fuse_in_header)))->flags, marks);
                break;

            case fuse_opcode.FUSE_READDIRPLUS:
                Listed(header, body, size);
                break;

            case fuse_opcode.FUSE_RENAME or fuse_opcode.FUSE_RENAME2:
                Renamed(header, request, length);
                break;

            case fuse_opcode.FUSE_SETLK or fuse_opcode.FUSE_SETLKW:
                Locked(request, length, life);
                break;

            default:
                if (NameAt(header->opcode) is >= 0 and int at && size >= sizeof(fuse_entry_out))
                {
                    Entered(header, request, length, at, (fuse_entry_out*)body, size);
                }

                break;
        }
    }

    /// <summary>An answer that <see cref="Answered"/> has seen was not taken, and what it gave is given back.</summary>
    public void TakenBack(byte* request, int length, byte* reply, int replyLength)
    {
        var header = (fuse_in_header*)request;
        byte* body = reply + sizeof(fuse_out_header);
        int size = replyLength - sizeof(fuse_out_header);
        if (((fuse_out_header*)reply)->error != 0)
        {
            return;
        }

        lock (_lock)
        {
            if (NameAt(header->opcode) >= 0 && size >= sizeof(fuse_entry_out))
            {
                _nodes.Forget(((fuse_entry_out*)body)->nodeid, 1);
            }

            if ((fuse_opcode)header->opcode is fuse_opcode.FUSE_OPEN or fuse_opcode.FUSE_OPENDIR && size >= sizeof(fuse_open_out))
            {
                End(header->nodeid, ((fuse_open_out*)body)->fh);
            }
            else if (OpenedReply.Find(header->opcode, reply, replyLength) is var opened && opened != null)
            {
                End(((fuse_entry_out*)body)->nodeid, opened->fh);
            }
        }
    }

    /// <summary>A request for a lock was granted, perhaps after it had waited.</summary>
    /// <param name="request">The request.</param>
    /// <param name="life">In which life the host has granted it.</param>
    public void Locked(ReadOnlySpan<byte> request, ulong life)
    {
        fixed (byte* message = request)
        {
            Locked(message, request.Length, life);
        }
    }

    /// <summary>The host has it in another life from now on.</summary>
    public void Begin(ulong life)
    {
        lock (_lock)
        {
            _life = life;
        }
    }

    /// <summary>Calls back with everything, under the lock.</summary>
    internal T Read<T>(Func<HeldNodes, HeldHandles, T> read)
    {
        lock (_lock)
        {
            return read(_nodes, _handles);
        }
    }

    /// <summary>All open files are lost.</summary>
    public ReturnOutcome NoteAll(ulong life)
    {
        (int unlocked, int stale) = Note(Read(static (_, handles) => handles.Indices().Select(index => handles.At(index).Handle).ToHashSet()), life);
        return new ReturnOutcome(0, 0, stale, unlocked);
    }

    /// <summary>Notes what has become of open files at a host that had lost them.</summary>
    /// <param name="lost">Those that it could not open again.</param>
    /// <param name="life">In which life it has the others.</param>
    /// <returns>How many had locks, and how many else are lost now.</returns>
    public (int Unlocked, int Stale) Note(IReadOnlySet<ulong> lost, ulong life)
    {
        (int unlocked, int stale) = (0, 0);
        lock (_lock)
        {
            _life = life;
            foreach (int index in _handles.Indices())
            {
                ref HeldHandle file = ref _handles.At(index);
                bool hadLocks = HadLocks(file);
                if (hadLocks || lost.Contains(file.Handle))
                {
                    unlocked += hadLocks ? 1 : 0;
                    stale += hadLocks ? 0 : 1;
                    Lose(ref file, hadLocks ? _unlocked : _stale);
                }
            }

            _locks.Clear();
        }

        return (unlocked, stale);
    }

    /// <summary>Whether an open file is not to be had again: its locks are lost, and nobody may go on as if they were not.</summary>
    internal static bool HadLocks(in HeldHandle file) => (file.Marks & (HeldMarks.Locked | HeldMarks.Flocked)) != 0;

    // Where the name is in requests whose answer is a node.
    private static int NameAt(uint opcode) => (fuse_opcode)opcode switch
    {
        fuse_opcode.FUSE_LOOKUP or fuse_opcode.FUSE_SYMLINK => 0,
        fuse_opcode.FUSE_MKNOD => sizeof(fuse_mknod_in),
        fuse_opcode.FUSE_MKDIR => sizeof(fuse_mkdir_in),
        fuse_opcode.FUSE_LINK => sizeof(fuse_link_in),
        fuse_opcode.FUSE_CREATE or fuse_opcode.FUSE_TMPFILE => sizeof(fuse_create_in),
        _ => -1,
    };

    private static ReadOnlySpan<byte> Name(byte* request, int length, int at)
    {
        int start = sizeof(fuse_in_header) + at;
        ReadOnlySpan<byte> rest = start < length ? new ReadOnlySpan<byte>(request + start, length - start) : [];
        int end = rest.IndexOf((byte)0);
        return end < 0 ? [] : rest[..end];
    }

    private static bool IsDots(ReadOnlySpan<byte> name) => name.SequenceEqual("."u8) || name.SequenceEqual(".."u8);

    private void Opened(fuse_in_header* header, ulong handle, ulong node, uint flags, HeldMarks marks)
    {
        lock (_lock)
        {
            _handles.Add(new HeldHandle { Handle = handle, Node = node, Flags = flags, Uid = header->uid, Gid = header->gid, Marks = marks });
        }
    }

    private void Entered(fuse_in_header* header, byte* request, int length, int at, fuse_entry_out* entry, int size)
    {
        if (entry->nodeid == 0)
        {
            return;
        }

        var opcode = (fuse_opcode)header->opcode;
        ReadOnlySpan<byte> name = opcode == fuse_opcode.FUSE_TMPFILE ? [] : Name(request, length, at);
        lock (_lock)
        {
            _nodes.Add(entry->nodeid, entry->generation, header->nodeid, IsDots(name) ? [] : name, header->uid, header->gid);
        }

        if (opcode is fuse_opcode.FUSE_CREATE or fuse_opcode.FUSE_TMPFILE && size >= sizeof(fuse_entry_out) + sizeof(fuse_open_out))
        {
            Opened(header, ((fuse_open_out*)(entry + 1))->fh, entry->nodeid, ((fuse_create_in*)(request + sizeof(fuse_in_header)))->flags, HeldMarks.None);
        }
    }

    private void Listed(fuse_in_header* header, byte* entries, int size)
    {
        lock (_lock)
        {
            int nameAt = sizeof(fuse_direntplus);
            for (int at = 0; size - at >= nameAt;)
            {
                var entry = (fuse_direntplus*)(entries + at);
                uint nameLength = entry->dirent.namelen;
                if (nameLength > byte.MaxValue || size - at - nameAt < nameLength)
                {
                    return;
                }

                var name = new ReadOnlySpan<byte>(entries + at + nameAt, (int)nameLength);
                if (entry->entry_out.nodeid != 0 && !IsDots(name))
                {
                    _nodes.Add(entry->entry_out.nodeid, entry->entry_out.generation, header->nodeid, name, header->uid, header->gid);
                }

                at += (nameAt + (int)nameLength + 7) & ~7;
            }
        }
    }

    private void Renamed(fuse_in_header* header, byte* request, int length)
    {
        bool second = header->opcode == (uint)fuse_opcode.FUSE_RENAME2;
        int at = second ? sizeof(fuse_rename2_in) : sizeof(fuse_rename_in);
        ReadOnlySpan<byte> name = Name(request, length, at);
        ReadOnlySpan<byte> newName = Name(request, length, at + name.Length + 1);
        if (name.IsEmpty || newName.IsEmpty)
        {
            return;
        }

        byte* body = request + sizeof(fuse_in_header);
        bool exchange = second && (((fuse_rename2_in*)body)->flags & RenameExchange) != 0;
        lock (_lock)
        {
            _nodes.Rename(header->nodeid, name, ((fuse_rename_in*)body)->newdir, newName, exchange);
        }
    }

    // RENAME_EXCHANGE of linux/fs.h.
    private const uint RenameExchange = 2;

    // Under the lock.
    private void Lose(ref HeldHandle file, KnownIds among)
    {
        among.Add(file.Handle);
        Volatile.Write(ref _lost, _lost + 1);
        Volatile.Write(ref file.Handle, 0);
    }

    private void Locked(byte* request, int length, ulong life)
    {
        if (length < sizeof(fuse_in_header) + sizeof(fuse_lk_in))
        {
            return;
        }

        ulong node = ((fuse_in_header*)request)->nodeid;
        var asked = (fuse_lk_in*)(request + sizeof(fuse_in_header));
        bool unlocks = asked->lk.type == fcntl.F_UNLCK;
        lock (_lock)
        {
            if (life != 0 && life != _life && !unlocks)
            {
                // The host has been rebooted since it said so, and has heard of this file without the lock.
                ref HeldHandle late = ref _handles.Find(asked->fh);
                if (!Unsafe.IsNullRef(ref late))
                {
                    Lose(ref late, _unlocked);
                }

                return;
            }

            if ((asked->lk_flags & FuseConstants.FUSE_LK_FLOCK) == 0)
            {
                ulong[] before = _locks.HandlesOf(node, asked->owner);
                _locks.Change(node, asked->owner, new LockRange(asked->lk.start, asked->lk.end, asked->lk.type == fcntl.F_WRLCK, asked->fh), unlocks);
                Mark(node, before);
                Mark(node, [asked->fh]);
                return;
            }

            ref HeldHandle file = ref _handles.Find(asked->fh);
            if (!Unsafe.IsNullRef(ref file))
            {
                file.Marks = unlocks ? file.Marks & ~HeldMarks.Flocked : file.Marks | HeldMarks.Flocked;
            }
        }
    }

    // Under the lock.
    private void Mark(ulong node, ReadOnlySpan<ulong> handles)
    {
        foreach (ulong handle in handles)
        {
            ref HeldHandle file = ref _handles.Find(handle);
            if (!Unsafe.IsNullRef(ref file))
            {
                file.Marks = _locks.Has(node, handle) ? file.Marks | HeldMarks.Locked : file.Marks & ~HeldMarks.Locked;
            }
        }
    }

    // Under the lock.
    private void End(ulong node, ulong handle)
    {
        if (IsLost(handle, out _))
        {
            _stale.Remove(handle);
            _unlocked.Remove(handle);
            Volatile.Write(ref _lost, _lost - 1);
            return;
        }

        ref HeldHandle file = ref _handles.Find(handle);
        if (Unsafe.IsNullRef(ref file))
        {
            return;
        }

        if ((file.Marks & HeldMarks.Locked) != 0)
        {
            _locks.EndHandle(node, handle);
        }

        Volatile.Write(ref file.Handle, 0);
    }
}
