using System.Runtime.InteropServices;
using System.Text;
using Dpu.Linux;
using Microsoft.Win32.SafeHandles;

namespace Dpu.Keeper;

/// <summary>
/// What a daemon says to dpu-keeper, which holds descriptors and shared memory for it while it dies and comes back. Names have
/// 1 to 255 bytes; by custom they begin with the daemon and a slash (<c>runtime/mount/3/fuse</c>). Thread-safe; every call waits
/// for its answer, for 5 s at most.
/// </summary>
public sealed unsafe class KeeperClient : IDisposable
{
    /// <summary>Where a keeper is found unless the configuration says otherwise.</summary>
    public const string DefaultPath = "/run/dpu/keeper.sock";

    /// <summary>The longest note of an entry, in bytes.</summary>
    public const int MostNote = keeper.KEEPER_NOTE_MAX;

    internal static readonly TimeSpan Limit = TimeSpan.FromSeconds(5);

    private readonly Lock _lock = new();
    private readonly KeeperConnection _connection;
    private bool _broken;

    /// <summary>Connects.</summary>
    /// <param name="path">The keeper's socket.</param>
    /// <exception cref="KeeperException">Nobody serves it, it refuses, or it speaks no version of ours.</exception>
    public KeeperClient(string path)
    {
        _connection = KeeperConnection.Open(path, Limit);
        Greeting = StatusOf(_connection.Greeting);
        Process = _connection.Process;
    }

    /// <summary>The keeper's process id; 0 where it is in another pid namespace.</summary>
    public int Process { get; }

    /// <summary>Whether an answer did not come, so that this client must be replaced.</summary>
    internal bool IsBroken
    {
        get
        {
            lock (_lock)
            {
                return _broken;
            }
        }
    }

    /// <summary>What the keeper said when it was greeted.</summary>
    public KeeperStatus Greeting { get; }

    /// <summary>Has a descriptor held; the caller keeps its own.</summary>
    /// <param name="name">Under which name.</param>
    /// <param name="descriptor">What; null for a note alone.</param>
    /// <param name="note">What to remember with it, at most <see cref="MostNote"/> bytes.</param>
    /// <param name="onlyNew">Fail with EEXIST where there is one of that name, instead of taking its place.</param>
    /// <exception cref="KeeperException">EEXIST; ENOSPC: it holds as many as it can; ENAMETOOLONG; or it is gone.</exception>
    public void Put(string name, SafeFileHandle? descriptor, ReadOnlySpan<byte> note = default, bool onlyNew = false) =>
        _ = Require(Ask(keeper.KEEPER_PUT, name, note, descriptor, onlyNew ? keeper.KEEPER_NEW : 0), $"hold '{name}'");

    /// <summary>An entry with the caller's own copy of its descriptor; null where there is none of that name.</summary>
    /// <exception cref="KeeperException">The keeper is gone, or this process has too many open files.</exception>
    public Kept? Get(string name)
    {
        KeeperAnswer answer = Ask(keeper.KEEPER_GET, name);
        return answer.Head.error == errno.ENOENT ? null : KeptOf(name, Require(answer, $"give '{name}'"));
    }

    /// <summary>Lets go of an entry; false where there is none of that name.</summary>
    /// <exception cref="KeeperException">The keeper is gone.</exception>
    public bool Drop(string name)
    {
        KeeperAnswer answer = Ask(keeper.KEEPER_DROP, name);
        return answer.Head.error != errno.ENOENT && Require(answer, $"let go of '{name}'").Head.error == 0;
    }

    /// <summary>Lets go of all entries whose names begin so; returns how many.</summary>
    /// <exception cref="KeeperException">The keeper is gone.</exception>
    public long DropAll(string prefix) => (long)Require(Ask(keeper.KEEPER_DROP, prefix, flags: keeper.KEEPER_PREFIX), $"let go of '{prefix}*'").Head.size;

    /// <summary>As <see cref="Put"/>, without waiting: what the keeper refuses is in <see cref="TakeFailure"/> after the next call that waits.</summary>
    /// <exception cref="KeeperException">The keeper is gone.</exception>
    public void PutQuietly(ReadOnlySpan<byte> name, SafeFileHandle descriptor, ReadOnlySpan<byte> note = default)
    {
        ArgumentNullException.ThrowIfNull(descriptor);
        bool held = false;
        try
        {
            descriptor.DangerousAddRef(ref held);
            PutQuietly(name, (int)descriptor.DangerousGetHandle(), note);
        }
        finally
        {
            if (held)
            {
                descriptor.DangerousRelease();
            }
        }
    }

    /// <summary>As above, of a descriptor that stays open during the call.</summary>
    /// <exception cref="KeeperException">The keeper is gone.</exception>
    public void PutQuietly(ReadOnlySpan<byte> name, int descriptor, ReadOnlySpan<byte> note) => Tell(keeper.KEEPER_PUT, name, note, descriptor);

    /// <summary>As <see cref="Drop"/>, without waiting.</summary>
    /// <exception cref="KeeperException">The keeper is gone.</exception>
    public void DropQuietly(ReadOnlySpan<byte> name) => Tell(keeper.KEEPER_DROP, name, default, -1);

    /// <summary>As <see cref="DropAll"/>, without waiting.</summary>
    /// <exception cref="KeeperException">The keeper is gone.</exception>
    public void DropAllQuietly(ReadOnlySpan<byte> prefix) => Tell(keeper.KEEPER_DROP, prefix, default, -1, keeper.KEEPER_PREFIX);

    /// <summary>The errno with which the last quiet request failed that did, once; 0 where none did.</summary>
    public int TakeFailure()
    {
        lock (_lock)
        {
            int failure = _connection.QuietFailure;
            _connection.QuietFailure = 0;
            return failure;
        }
    }

    /// <summary>Entries whose names begin so, by name.</summary>
    /// <exception cref="KeeperException">The keeper is gone.</exception>
    public IReadOnlyList<KeptEntry> List(string prefix = "")
    {
        List<KeptEntry> entries = [];
        byte[] after = [];
        while (true)
        {
            KeeperAnswer answer = Require(Ask(keeper.KEEPER_LIST, prefix, after), $"list '{prefix}*'");
            if (answer.Head.size == 0)
            {
                return entries;
            }

            ReadItems(answer, entries, out after);
        }
    }

    /// <summary>Shared memory of that name: made, zeroed, where there is none.</summary>
    /// <param name="name">Its name.</param>
    /// <param name="size">Its size in bytes; it never changes.</param>
    /// <param name="made">Whether it was made now.</param>
    /// <param name="note">What to remember with it where it is made: the version of its layout, say.</param>
    /// <exception cref="KeeperException">EEXIST: there is one of another size; ENOSPC: it would be more than the keeper may make; or it is gone.</exception>
    public KeptMemory OpenMemory(string name, long size, out bool made, ReadOnlySpan<byte> note = default)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(size);
        KeeperAnswer answer = Require(Ask(keeper.KEEPER_MEMORY, name, note, size: (ulong)size), $"share {size} bytes as '{name}'");
        made = (answer.Head.flags & keeper.KEEPER_MADE) != 0;
        Kept kept = KeptOf(name, answer);
        return new KeptMemory(kept.Entry, kept.Descriptor);
    }

    /// <summary>Has the keeper run its launcher (dpu-launch), as whose parent it will know how it ended.</summary>
    /// <param name="name">Under which name it is held, until that is dropped.</param>
    /// <param name="note">What to remember with it.</param>
    /// <param name="number">The number that it shall have in the keeper's pid namespace; 0 for any.</param>
    /// <param name="socket">Its descriptor 0, a unix socket of type STREAM; the caller keeps its own.</param>
    /// <param name="cgroup">The directory of a cgroup of v2 in which it begins, of a keeper that says <see cref="KeeperStatus.Bears"/>; null for the keeper's own.</param>
    /// <exception cref="KeeperException">
    /// EBUSY: the name is taken, or the cgroup may not have processes; EEXIST: the number is; EINVAL: the number is none, or beyond what the machine has; ENOENT, EACCES: there is no
    /// launcher; EAGAIN: too many processes; ENOSPC; ENOSYS: the keeper is older than this; or it is gone.
    /// </exception>
    public Kept Run(string name, ReadOnlySpan<byte> note, int number, SafeHandle socket, SafeFileHandle? cgroup = null)
    {
        ArgumentNullException.ThrowIfNull(socket);
        ArgumentOutOfRangeException.ThrowIfNegative(number);
        if (cgroup is not null)
        {
            // Under the process's own name, whose place it takes. What is refused is not there when that is asked for (EBUSY).
            PutQuietly(Encoding.UTF8.GetBytes(name), cgroup);
        }

        KeeperAnswer answer = Ask(keeper.KEEPER_RUN, name, note, socket, cgroup is null ? 0 : keeper.KEEPER_BORN, (ulong)number);
        string what = answer.Head.error switch
        {
            errno.ENOSYS => $"run '{name}', as it is older than this daemon: a newer one takes its place with the machine's next boot",
            errno.EBUSY when cgroup is null => $"run '{name}', as it holds something of that name",
            errno.EEXIST => $"run '{name}' as process {number}, which exists",
            errno.ENOENT or errno.EACCES => $"run '{name}', as its launcher cannot be executed (dpu-keeper --launcher)",
            _ => $"run '{name}'",
        };
        return KeptOf(name, Require(answer, what));
    }

    /// <summary>What the keeper says of itself now.</summary>
    /// <exception cref="KeeperException">The keeper is gone.</exception>
    public KeeperStatus Status()
    {
        KeeperAnswer answer = Require(Ask(keeper.KEEPER_STATUS, ""), "tell its status");
        return answer.Note.Length >= sizeof(keeper_status)
            ? StatusOf(MemoryMarshal.Read<keeper_status>(answer.Note.Span))
            : throw new KeeperException($"the keeper's status has {answer.Note.Length} bytes");
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        lock (_lock)
        {
            _broken = true;
            _connection.Dispose();
        }
    }

    internal static KeeperStatus StatusOf(in keeper_status status)
    {
        fixed (byte* instance = status.instance)
        {
            return new KeeperStatus(
                new Guid(new ReadOnlySpan<byte>(instance, 16)),
                TimeSpan.FromTicks((long)(status.started / 100)),
                (long)status.requests,
                (long)status.refused,
                (long)status.entries,
                (long)status.entries_max,
                (long)status.memory,
                (long)status.memory_max,
                (long)status.clients,
                (long)status.closing,
                (status.features & keeper.KEEPER_RUNS) != 0,
                (status.features & keeper.KEEPER_BEARS) != 0);
        }
    }

    private static void ReadItems(KeeperAnswer answer, List<KeptEntry> entries, out byte[] last)
    {
        ReadOnlySpan<byte> rest = answer.Note.Span;
        last = [];
        for (ulong i = 0; i < answer.Head.size; i++)
        {
            keeper_item item = rest.Length >= sizeof(keeper_item) ? MemoryMarshal.Read<keeper_item>(rest) : default;
            int whole = (sizeof(keeper_item) + item.name + item.note + 7) & ~7;
            if (item.name == 0 || whole > rest.Length)
            {
                throw new KeeperException("the keeper's list is cut");
            }

            last = rest.Slice(sizeof(keeper_item), item.name).ToArray();
            entries.Add(new KeptEntry(Encoding.UTF8.GetString(last), (KeptKind)item.kind, (long)item.size, rest.Slice(sizeof(keeper_item) + item.name, item.note).ToArray()));
            rest = rest[whole..];
        }
    }

    private static Kept KeptOf(string name, KeeperAnswer answer)
    {
        KeptKind kind = (answer.Head.flags & keeper.KEEPER_IS_PROCESS) != 0 ? KeptKind.Process : answer.Head.size != 0 ? KeptKind.Memory : answer.Descriptor is null ? KeptKind.Note : KeptKind.Descriptor;
        return new Kept(new KeptEntry(name, kind, (long)answer.Head.size, answer.Note), answer.Descriptor);
    }

    private static KeeperAnswer Require(KeeperAnswer answer, string what) => answer.Head.error == 0
        ? answer
        : throw new KeeperException($"the keeper cannot {what}: {KeeperConnection.NameOf(answer.Head.error)}", answer.Head.error);

    private void Tell(ushort operation, ReadOnlySpan<byte> name, ReadOnlySpan<byte> note, int descriptor, uint flags = 0)
    {
        lock (_lock)
        {
            if (_broken)
            {
                throw new KeeperException("the connection to the keeper is broken: connect anew");
            }

            _broken = true;
            _connection.Tell(operation, name, note, descriptor, flags);
            _broken = false;
        }
    }

    private KeeperAnswer Ask(ushort operation, string name, ReadOnlySpan<byte> note = default, SafeHandle? descriptor = null, uint flags = 0, ulong size = 0)
    {
        lock (_lock)
        {
            if (_broken)
            {
                throw new KeeperException("the connection to the keeper is broken: connect anew");
            }

            _broken = true;
            KeeperAnswer answer = _connection.Ask(operation, name, note, descriptor, flags, size);
            _broken = false;
            return answer;
        }
    }
}
