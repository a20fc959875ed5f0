using System.Runtime.InteropServices;
using Dpu.Keeper;

namespace Dpu.Relay.Processes;

/// <summary>How far a process has come, at either end.</summary>
public enum ProcessStage
{
    /// <summary>Nothing is known of it.</summary>
    None = 0,

    /// <summary>What runs it has been made, and not been told what to run: it may be begun again.</summary>
    Prepared = 1,

    /// <summary>What runs it is being told: from here on it is never begun again.</summary>
    Told = 2,

    /// <summary>It runs.</summary>
    Running = 3,

    /// <summary>It has ended; its status is known.</summary>
    Ended = 4,
}

/// <summary>
/// One page of memory that a keeper holds for a process: how far it has come, and its streams. What is there is written before, or after, what it
/// tells of, so that a daemon that comes after a kill knows it. Layout (little-endian machines only, as the keeper's is): 64 bytes of header, 32 for
/// each of <see cref="ProcessFrame.MaxStreams"/> streams.
/// </summary>
public sealed unsafe class ProcessMemory : IDisposable
{
    /// <summary>Bytes of it.</summary>
    public const int Size = 4096;

    private const uint Magic = 0x45585031;
    private const int HeaderSize = 64;
    private const int StreamSize = 32;
    private readonly Keeping _keeping;
    private readonly KeptMemory _memory;

    private ProcessMemory(Keeping keeping, string name, KeptMemory memory) => (_keeping, Name, _memory) = (keeping, name, memory);

    /// <summary>What the keeper calls it; the names of its descriptors begin with it and a slash.</summary>
    public string Name { get; }

    /// <summary>How far it has come.</summary>
    public ProcessStage Stage
    {
        get => (ProcessStage)Field(4);
        set => Field(4) = (int)value;
    }

    /// <summary>Its number on its machine.</summary>
    public int Number
    {
        get => Field(8);
        set => Field(8) = value;
    }

    /// <summary>As wait(2) has it, once it has ended.</summary>
    public int Status
    {
        get => Field(12);
        set => Field(12) = value;
    }

    /// <summary>Bits that are its end's own.</summary>
    public int Flags
    {
        get => Field(16);
        set => Field(16) = value;
    }

    /// <summary>The errno of why a process has not the number that it was to have; 0 where it has.</summary>
    public int NumberError
    {
        get => Field(20);
        set => Field(20) = value;
    }

    /// <summary>When the process with <see cref="Number"/> began, in the kernel's ticks since boot; so a number that was used again is told.</summary>
    public long Began
    {
        get => LongField(24);
        set => LongField(24) = value;
    }

    /// <summary>When it was begun, in ticks of UTC.</summary>
    public long Since
    {
        get => LongField(32);
        set => LongField(32) = value;
    }

    /// <summary>When it ended, in ticks of UTC.</summary>
    public long Until
    {
        get => LongField(40);
        set => LongField(40) = value;
    }

    /// <summary>The keeper's name for a process.</summary>
    public static string NameOf(Guid token) => $"exec/{token:N}";

    /// <summary>New memory.</summary>
    /// <exception cref="KeeperException">There is none.</exception>
    public static ProcessMemory Create(Keeping keeping, Guid token)
    {
        ArgumentNullException.ThrowIfNull(keeping);
        string name = NameOf(token);
        KeptMemory memory = keeping.NewMemory(name, Size);
        new Span<byte>(memory.Address, Size).Clear();
        var created = new ProcessMemory(keeping, name, memory);
        created.Field(0) = unchecked((int)Magic);
        return created;
    }

    /// <summary>That of an earlier life of the daemon; null where there is none, or it is another version's.</summary>
    public static ProcessMemory? Find(Keeping keeping, Guid token)
    {
        ArgumentNullException.ThrowIfNull(keeping);
        string name = NameOf(token);
        KeptMemory memory = keeping.Memory(name, Size, out bool found);
        var known = new ProcessMemory(keeping, name, memory);
        if (found && (uint)known.Field(0) == Magic)
        {
            return known;
        }

        known.Forget();
        return null;
    }

    /// <summary>Processes of an earlier life.</summary>
    public static IEnumerable<Guid> All(Keeping keeping)
    {
        ArgumentNullException.ThrowIfNull(keeping);
        foreach (KeptEntry entry in keeping.List("exec/"))
        {
            if (entry.Name.Length == "exec/".Length + 32 && Guid.TryParseExact(entry.Name["exec/".Length..], "N", out Guid token))
            {
                yield return token;
            }
        }
    }

    /// <summary>Has the keeper hold a descriptor of the process, or a note alone.</summary>
    public void Hold(string what, Microsoft.Win32.SafeHandles.SafeFileHandle? descriptor, ReadOnlySpan<byte> note = default) => _keeping.HoldSoon($"{Name}/{what}", descriptor, note);

    /// <summary>A descriptor of the process from an earlier life, and its note; null where there is none.</summary>
    public Kept? Get(string what) => _keeping.Get($"{Name}/{what}");

    /// <summary>Has the keeper let go of a descriptor.</summary>
    public void Drop(string what) => _keeping.DropSoon($"{Name}/{what}");

    /// <summary>Lets go of the memory here; the keeper goes on holding it.</summary>
    public void Dispose() => _memory.Dispose();

    /// <summary>Lets go of all that the keeper has of the process.</summary>
    public void Forget()
    {
        _keeping.DropAllSoon(Name);
        _memory.Dispose();
    }

    internal uint* StateOf(int stream) => (uint*)(_memory.Address + HeaderSize + (stream * StreamSize));

    internal int* NumberOf(int stream) => (int*)(_memory.Address + HeaderSize + (stream * StreamSize) + 4);

    internal ulong* JournalOf(int stream) => (ulong*)(_memory.Address + HeaderSize + (stream * StreamSize) + 8);

    // SAFETY of both: within the header, which is of this size in memory that lives as long as the object's owner.
    private ref int Field(int offset) => ref *(int*)(_memory.Address + offset);

    private ref long LongField(int offset) => ref *(long*)(_memory.Address + offset);
}
