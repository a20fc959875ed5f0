namespace Dpu.Fuse;

// What a cache above this needs to know: which nodes are watched for changes by others.
public sealed partial class PassthroughFileSystem
{
    /// <summary>
    /// Watches a node from now on: a directory with what is in it, another file alone. What is read of it afterwards may be
    /// cached until the <see cref="INodeWatcher"/> tells of a change.
    /// </summary>
    /// <returns>False where it cannot be, or the id names nothing.</returns>
    public bool Watch(ulong node) => _nodes.Watch(node);

    /// <summary>Whether a node is watched itself, and whether its directory covers it.</summary>
    public (bool Watched, bool Covered) WatchOf(ulong node) => _nodes.WatchOf(node);

    /// <summary>Says that a node was found in a directory that is watched, or has been moved out of it.</summary>
    public void Cover(ulong node, bool covered) => _nodes.Cover(node, covered);

    /// <summary>The path by which a node was found, from the exported directory and without a slash before it, as it is now.</summary>
    /// <returns>Its length in bytes, or a negated errno.</returns>
    public int RelativePath(ulong node, Span<byte> path)
    {
        using NodePin file = _nodes.Pin(node);
        return file.Valid ? _boundary.RelativePath(file.Descriptor, path) : file.Error;
    }

    /// <summary>The node of the file that the kernel names; 0 where the peer does not know it. For the watcher's thread, as the daemon itself.</summary>
    /// <param name="near">A node on the same mount.</param>
    /// <param name="handleType"><c>handle_type</c> of the kernel's handle.</param>
    /// <param name="handle">Its bytes.</param>
    /// <param name="links">How many names the file has; 0 where it was not found.</param>
    public ulong FindNode(ulong near, int handleType, ReadOnlySpan<byte> handle, out uint links)
    {
        links = 0;
        return FileHandle.TryFrom(handleType, handle, out FileHandle name) ? _nodes.Find(near, name, out links) : 0;
    }
}
