using Dpu.Keeper;

namespace Dpu.Qtfs.Mount.Handover;

/// <summary>
/// What a mount leaves with the keeper, so that a runtime that takes the place of this one goes on where it was: descriptors by name, and
/// memory that is the mount's own working memory, so that nothing has to be written twice. Without a keeper it is private memory.
/// Thread-safe.
/// </summary>
internal sealed unsafe class KeptState : IDisposable
{
    /// <summary>Of all that lies in the mounts' memory. Another one's mounts are not taken over.</summary>
    public const int LayoutVersion = 1;

    /// <summary>What the names of mounts begin with.</summary>
    public const string Beginning = "mount/";

    private const int NumbersSize = 4096;
    private const int CountersAt = 64;
    private const int HostStateAt = 512;

    private readonly Keeping _keeping;
    private readonly Lock _lock = new();
    private readonly List<KeptMemory> _memories = [];
    private readonly KeptMemory _numbers;
    private bool _disposed;
    private long _serial = Random.Shared.NextInt64();

    /// <param name="keeping">What the runtime has its keeper hold.</param>
    /// <param name="key">The mount's name there.</param>
    /// <exception cref="KeeperException">There is no memory.</exception>
    public KeptState(Keeping keeping, string key)
    {
        _keeping = keeping;
        Key = key;
        _numbers = Memory("numbers", NumbersSize, out _);
        TellKeeper();
        Volatile.Write(ref *Guardians, Environment.ProcessId);
        keeping.Returned += TellKeeper;
    }

    /// <summary>The mount's name there.</summary>
    public string Key { get; }

    /// <summary>Whether a keeper holds it.</summary>
    public bool IsProtected => _keeping.IsProtected;

    /// <summary>Memory at whose end two numbers of 4 bytes are the processes of this runtime and of the keeper (0: none; -1: one that cannot be seen).</summary>
    public Microsoft.Win32.SafeHandles.SafeFileHandle GuardiansMemory => _numbers.Descriptor;

    /// <summary>The number that a request has got last; requests are numbered in rising order as long as the mount lives.</summary>
    public ulong* LastNumber => (ulong*)_numbers.Address;

    /// <summary>In which life the host has the mount's nodes and open files; 0 before it has said so.</summary>
    public ulong* HostState => (ulong*)(_numbers.Address + HostStateAt);

    /// <summary>What <see cref="MountCounters"/> counts since the mount was made; zeroed, and of more room than that needs.</summary>
    public long* Counters => (long*)(_numbers.Address + CountersAt);

    /// <summary>Memory of the mount's, until it is disposed; with what an earlier runtime left in it.</summary>
    /// <exception cref="KeeperException">There is no memory.</exception>
    public KeptMemory Memory(string name, long size, out bool found)
    {
        KeptMemory memory = _keeping.Memory(Name(name), size, out found);
        lock (_lock)
        {
            _memories.Add(memory);
        }

        return memory;
    }

    /// <summary>Memory of that size, of a name that no other has.</summary>
    /// <param name="group">What its name begins with.</param>
    /// <param name="size">Its size, in bytes.</param>
    public KeptMemory Another(string group, long size) => Memory($"{group}/{Interlocked.Increment(ref _serial):x16}", size, out _);

    /// <summary>Lets go of memory.</summary>
    public void Free(KeptMemory memory)
    {
        lock (_lock)
        {
            _ = _memories.Remove(memory);
        }

        _keeping.Free(memory);
    }

    /// <summary>All memory of a group, with what is in it.</summary>
    public IReadOnlyList<KeptMemory> Group(string group) =>
        [.. _keeping.List(Name(group) + "/").Select(entry => Memory(entry.Name[Name("").Length..], SizeOf(entry), out _))];

    /// <summary>Eight-byte words of an array that grows: a piece of them, zeroed where it is new.</summary>
    public ulong* Words(string group, int piece, int count) => (ulong*)Memory($"{group}/{piece}", count * sizeof(ulong), out _).Address;

    /// <summary>The numbers of the pieces of an array that an earlier runtime left.</summary>
    public IEnumerable<int> Pieces(string group) =>
        _keeping.List(Name(group) + "/").Select(entry => int.Parse(entry.Name[(Name(group).Length + 1)..], System.Globalization.CultureInfo.InvariantCulture));

    /// <summary>The numbers of the lanes of which there is memory.</summary>
    public IReadOnlyList<int> Lanes => [.. Pieces("lane")];

    /// <summary>Has a descriptor held.</summary>
    public void Hold(string name, Microsoft.Win32.SafeHandles.SafeFileHandle descriptor) => _keeping.Hold(Name(name), descriptor);

    /// <summary>Says what the mount is.</summary>
    public void Describe(ReadOnlySpan<byte> description) => _keeping.Hold(Name("about"), null, description);

    /// <summary>The mount has ended: lets go of everything.</summary>
    public void End() => _keeping.DropAll(Name(""));

    private int* Guardians => (int*)(_numbers.Address + NumbersSize) - 2;

    private void TellKeeper()
    {
        lock (_lock)
        {
            if (!_disposed)
            {
                Volatile.Write(ref Guardians[1], _keeping.KeeperProcess);
            }
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _keeping.Returned -= TellKeeper;
        lock (_lock)
        {
            _disposed = true;
            _memories.ForEach(memory => memory.Dispose());
            _memories.Clear();
        }
    }

    private string Name(string name) => $"{Beginning}{Key}/{name}";

    private long SizeOf(KeptEntry entry)
    {
        using Kept? kept = entry.Kind == KeptKind.Memory ? null : _keeping.Get(entry.Name);
        return entry.Kind == KeptKind.Memory ? entry.Size : kept?.Descriptor is { } memory ? Math.Max(1, RandomAccess.GetLength(memory)) : 1;
    }
}
