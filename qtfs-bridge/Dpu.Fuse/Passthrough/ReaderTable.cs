namespace Dpu.Fuse;

/// <summary>
/// Handles for reading files that the peer uses without opening them, one a node, so that not each read opens its file.
/// They are the node's: they close when it is forgotten, or when many others have been read since. Thread-safe.
/// </summary>
/// <remarks>Never for writing: the host could execute no file that is open so (ETXTBSY), and nobody says when it is no more.</remarks>
internal sealed class ReaderTable(NodeTable nodes, HandleTable handles)
{
    /// <summary>How many are kept: what a program reads again and again, and a small part of a peer's handles.</summary>
    public const int Capacity = 1024;

    private readonly ulong[] _ring = new ulong[Capacity];
    private readonly Lock _lock = new();
    private int _next;

    /// <summary>The node's handle for reading; not valid where it has none.</summary>
    public HandlePin Pin(scoped in NodePin node) => handles.Pin(Volatile.Read(ref nodes[node.Index].Reader), node.Id, isDirectory: false);

    /// <summary>Keeps a descriptor as the node's, which is held; returns it pinned. Not valid where a limit refuses: it is then still the caller's.</summary>
    public HandlePin Add(scoped in NodePin node, int descriptor)
    {
        ulong handle = handles.Add(descriptor, node.Id, isDirectory: false, held: false);
        if (handle == 0)
        {
            return default;
        }

        // Pinned before anybody else can find and drop it.
        HandlePin pin = handles.Pin(handle, node.Id, isDirectory: false);
        ulong replaced;
        ulong dropped;
        lock (_lock)
        {
            replaced = Interlocked.Exchange(ref nodes[node.Index].Reader, handle);
            dropped = replaced == 0 ? _ring[_next] : 0;
            if (replaced == 0)
            {
                _ring[_next] = node.Id;
                _next = (_next + 1) % Capacity;
            }
        }

        _ = replaced != 0 && handles.Remove(replaced, node.Id, isDirectory: false);
        if (dropped != 0 && dropped != node.Id)
        {
            Drop(dropped);
        }

        return pin;
    }

    private void Drop(ulong node)
    {
        if (nodes.TakeReader(node) is not 0 and ulong handle)
        {
            _ = handles.Remove(handle, node, isDirectory: false);
        }
    }
}
