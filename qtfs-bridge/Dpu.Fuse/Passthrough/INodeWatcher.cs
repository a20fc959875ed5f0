namespace Dpu.Fuse;

/// <summary>
/// Learns of changes to files by others, so that what the peer's kernel caches can be taken back. Called on the threads
/// that serve files, as the daemon itself; thread-safe.
/// </summary>
public interface INodeWatcher
{
    /// <summary>Watches a file from now on; what happened before this returns may be unseen.</summary>
    /// <param name="node">Its node, by which changes are told.</param>
    /// <param name="descriptor">An O_PATH descriptor of it.</param>
    /// <param name="isDirectory">Whether the files in it are watched with it.</param>
    /// <returns>False where its file system tells nothing, or not everything.</returns>
    bool Add(ulong node, int descriptor, bool isDirectory);

    /// <summary>Ends it, before the node is forgotten.</summary>
    /// <param name="node">The node of <see cref="Add"/>.</param>
    /// <param name="descriptor">As in <see cref="Add"/>; negative where the file can be opened no more.</param>
    void Remove(ulong node, int descriptor);
}

/// <summary>How a node stands with the <see cref="INodeWatcher"/>.</summary>
internal static class WatchState
{
    /// <summary>Nobody has asked yet.</summary>
    public const byte Unknown = 0;

    /// <summary>It is watched.</summary>
    public const byte Watched = 1;

    /// <summary>It cannot be.</summary>
    public const byte Refused = 2;
}
