using Microsoft.Win32.SafeHandles;

namespace Dpu.Keeper;

/// <summary>What a keeper holds of an entry.</summary>
public enum KeptKind
{
    /// <summary>Its note alone.</summary>
    Note = (int)keeper.KEEPER_NOTE_ALONE,

    /// <summary>A descriptor that a daemon gave it.</summary>
    Descriptor = (int)keeper.KEEPER_DESCRIPTOR,

    /// <summary>Shared memory that it has made.</summary>
    Memory = (int)keeper.KEEPER_SHARED_MEMORY,

    /// <summary>A process whose parent it is; the descriptor is a pidfd.</summary>
    Process = (int)keeper.KEEPER_PROCESS,
}

/// <summary>An entry that a keeper holds.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Kind">What it is.</param>
/// <param name="Size">Of memory, its size in bytes; of a process what <see cref="Process"/> is read from; else 0.</param>
/// <param name="Note">The bytes that were put with it.</param>
public sealed record KeptEntry(string Name, KeptKind Kind, long Size, ReadOnlyMemory<byte> Note)
{
    /// <summary>Of a process, how it is; else null.</summary>
    public KeptProcess? Process => Kind == KeptKind.Process ? KeptProcess.Of((ulong)Size) : null;
}

/// <summary>An entry with its descriptor.</summary>
/// <param name="Entry">The entry.</param>
/// <param name="Descriptor">The caller's own copy; null where there is none.</param>
public sealed record Kept(KeptEntry Entry, SafeFileHandle? Descriptor) : IDisposable
{
    /// <inheritdoc/>
    public void Dispose() => Descriptor?.Dispose();
}

/// <summary>What a keeper says of itself.</summary>
/// <param name="Instance">Another one after its death: then it has nothing of what was put before.</param>
/// <param name="Started">When it started, since the machine's boot.</param>
/// <param name="Requests">Requests since then.</param>
/// <param name="Refused">How many of them failed.</param>
/// <param name="Entries">Entries that it holds.</param>
/// <param name="MostEntries">How many it can hold.</param>
/// <param name="Memory">Bytes of all shared memory.</param>
/// <param name="MostMemory">How many it can be.</param>
/// <param name="Clients">Connections.</param>
/// <param name="Closing">Descriptors that were let go and whose close(2) has not ended.</param>
/// <param name="Runs">Whether it can run processes; one of an older version cannot.</param>
/// <param name="Bears">Whether these can begin in a cgroup; one of an older version cannot do that either.</param>
public sealed record KeeperStatus(
    Guid Instance, TimeSpan Started, long Requests, long Refused, long Entries, long MostEntries, long Memory, long MostMemory, long Clients, long Closing, bool Runs, bool Bears);
