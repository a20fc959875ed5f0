using System.Buffers.Text;
using System.Globalization;
using System.Text;
using Dpu.Fuse;
using Dpu.Keeper;
using Dpu.Linux;
using Microsoft.Win32.SafeHandles;

namespace Dpu.Qtfs.Export.Kept;

/// <summary>
/// What the keeper has of one mount: entries <c>KEY/mount</c> (the note), <c>KEY/slots</c> (answers), <c>KEY/nodes/N</c> and
/// <c>KEY/handles/N</c> (tables), <c>KEY/h/HANDLE</c> (open files), <c>KEY/l/NUMBER</c> (locks),
/// <c>KEY/s/NODE</c> (bound sockets). Thread-safe.
/// </summary>
internal sealed unsafe class KeptMount : IKeptState
{
    // KEEPER_NAME_MAX.
    private const int MostName = 255;

    private const string Note = "/mount";
    private const string Slots = "/slots";
    private const string HandlesFolder = "/h/";
    private const string LocksFolder = "/l/";
    private const string SocketsFolder = "/s/";

    private readonly Keeping _keeping;
    private readonly Lock _lock = new();
    private readonly List<KeptMemory> _memory = [];
    private readonly byte[] _handles;
    private readonly byte[] _locks;
    private readonly byte[] _sockets;
    private Dictionary<string, KeptEntry> _earlier;
    private ReplyRecord* _slots;
    private volatile bool _ended;

    /// <param name="keeping">What the agent has its keeper hold.</param>
    /// <param name="key">The mount's name there.</param>
    /// <param name="earlier">What an earlier life has left of it.</param>
    public KeptMount(Keeping keeping, string key, IReadOnlyList<KeptEntry> earlier)
    {
        _keeping = keeping;
        Key = key;
        _earlier = earlier.ToDictionary(entry => entry.Name, StringComparer.Ordinal);
        _handles = Encoding.UTF8.GetBytes(keeping.Prefix + key + HandlesFolder);
        _locks = Encoding.UTF8.GetBytes(keeping.Prefix + key + LocksFolder);
        _sockets = Encoding.UTF8.GetBytes(keeping.Prefix + key + SocketsFolder);
    }

    /// <summary>The mapped memory goes when nothing references it any more.</summary>
    ~KeptMount() => _memory.ForEach(memory => memory.Dispose());

    /// <summary>The mount's name.</summary>
    public string Key { get; }

    /// <summary>A key for a new mount: another one than of any mount before, which may be ending still.</summary>
    public static string NewKey(string session, ulong mount) => string.Create(CultureInfo.InvariantCulture, $"{session}-{mount:x}-{Random.Shared.NextInt64():x}");

    /// <summary>The key that an entry belongs to.</summary>
    public static string KeyOf(KeptEntry entry) => entry.Name[..Math.Max(0, entry.Name.IndexOf('/', StringComparison.Ordinal))];

    /// <summary>The mount's note among its entries.</summary>
    public static KeptEntry? NoteAmong(string key, IEnumerable<KeptEntry> entries) => entries.FirstOrDefault(entry => entry.Name == key + Note);

    /// <summary>Makes or finds the memory of answers; false where an earlier life's are not there.</summary>
    public bool OpenSlots(uint count)
    {
        KeptMemory memory = _keeping.Memory(Key + Slots, (long)count * ReplyRecord.Size, out bool found);
        lock (_lock)
        {
            _memory.Add(memory);
        }

        _slots = (ReplyRecord*)memory.Address;
        return found;
    }

    /// <summary>The record of a lane's answers.</summary>
    public ReplyRecord* SlotOf(uint lane) => _slots + lane;

    /// <summary>Writes down what the mount is: from now on it outlives the agent.</summary>
    public void Describe(MountNote note) => _keeping.Hold(Key + Note, null, note.ToBytes());

    /// <summary>The earlier life is taken over.</summary>
    public void ForgetEarlier() => _earlier = [];

    /// <summary>Lets go of everything, at once.</summary>
    public void End()
    {
        _ended = true;
        _keeping.DropAll(Key + "/");
    }

    /// <inheritdoc/>
    public int Found(string table)
    {
        int count = 0;
        while (_earlier.ContainsKey(NameOf(table, count)))
        {
            count++;
        }

        return count;
    }

    /// <inheritdoc/>
    public nint Piece(string table, int piece, nint size)
    {
        KeptMemory memory = _keeping.Memory(NameOf(table, piece), size, out _);
        lock (_lock)
        {
            _memory.Add(memory);
        }

        return (nint)memory.Address;
    }

    /// <inheritdoc/>
    public void HoldFile(ulong handle, int descriptor)
    {
        if (!_ended)
        {
            Span<byte> name = stackalloc byte[MostName];
            _keeping.HoldQuietly(NameOf(name, _handles, handle), descriptor, default);
        }
    }

    /// <inheritdoc/>
    public void DropFile(ulong handle) => Drop(_handles, handle);

    /// <inheritdoc/>
    public IReadOnlyCollection<ulong> Files() => [.. NumbersIn(HandlesFolder)];

    /// <inheritdoc/>
    public int TakeFile(ulong handle) => Take(HandlesFolder, handle);

    /// <inheritdoc/>
    public void HoldLock(ulong number, int descriptor, ReadOnlySpan<byte> note)
    {
        if (!_ended)
        {
            Span<byte> name = stackalloc byte[MostName];
            _keeping.HoldQuietly(NameOf(name, _locks, number), descriptor, note);
        }
    }

    /// <inheritdoc/>
    public void DropLock(ulong number) => Drop(_locks, number);

    /// <inheritdoc/>
    public IReadOnlyList<KeptLock> TakeLocks()
    {
        List<KeptLock> locks = [];
        foreach (ulong number in NumbersIn(LocksFolder))
        {
            ReadOnlyMemory<byte> note = _earlier[Key + LocksFolder + Text(number)].Note;
            int descriptor = Take(LocksFolder, number);
            if (descriptor >= 0)
            {
                locks.Add(new KeptLock(number, descriptor, note));
            }
        }

        return locks;
    }

    /// <summary>Holds a socket that is bound for the peer, with what is to be known of it.</summary>
    public void HoldSocket(ulong node, SafeFileHandle socket, ReadOnlySpan<byte> note)
    {
        if (!_ended)
        {
            Span<byte> name = stackalloc byte[MostName];
            _keeping.HoldQuietly(NameOf(name, _sockets, node), socket, note);
        }
    }

    /// <summary>Lets go of it.</summary>
    public void DropSocket(ulong node) => Drop(_sockets, node);

    /// <summary>Those of an earlier life; whoever takes them owns them.</summary>
    public IReadOnlyList<(ulong Node, SafeFileHandle Socket, ReadOnlyMemory<byte> Note)> TakeSockets()
    {
        List<(ulong, SafeFileHandle, ReadOnlyMemory<byte>)> sockets = [];
        foreach (ulong node in NumbersIn(SocketsFolder))
        {
            ReadOnlyMemory<byte> note = _earlier[Key + SocketsFolder + Text(node)].Note;
            int descriptor = Take(SocketsFolder, node);
            if (descriptor >= 0)
            {
                sockets.Add((node, new SafeFileHandle(descriptor, ownsHandle: true), note));
            }
        }

        return sockets;
    }

    private static string Text(ulong number) => number.ToString("x", CultureInfo.InvariantCulture);

    private static ReadOnlySpan<byte> NameOf(Span<byte> room, byte[] folder, ulong number)
    {
        folder.CopyTo(room);
        _ = Utf8Formatter.TryFormat(number, room[folder.Length..], out int digits, new System.Buffers.StandardFormat('x'));
        return room[..(folder.Length + digits)];
    }

    private string NameOf(string table, int piece) => $"{Key}/{table}/{piece}";

    private void Drop(byte[] folder, ulong number)
    {
        if (!_ended)
        {
            Span<byte> name = stackalloc byte[MostName];
            _keeping.DropQuietly(NameOf(name, folder, number));
        }
    }

    private IEnumerable<ulong> NumbersIn(string folder) =>
        from name in _earlier.Keys
        where name.StartsWith(Key + folder, StringComparison.Ordinal)
        let number = ulong.TryParse(name.AsSpan((Key + folder).Length), NumberStyles.HexNumber, CultureInfo.InvariantCulture, out ulong value) ? value : 0
        where number != 0
        select number;

    private int Take(string folder, ulong number)
    {
        using Dpu.Keeper.Kept? kept = _keeping.Get(Key + folder + Text(number));
        if (kept?.Descriptor is not { } descriptor)
        {
            return -1;
        }

        // A copy: the keeper's client owns this one.
        return LibC.Result(LibC.fcntl_int((int)descriptor.DangerousGetHandle(), fcntl.F_DUPFD_CLOEXEC, 0));
    }
}
