using Dpu.Fuse.Wire;
using Dpu.Qtfs.Mount.Sockets;
using Microsoft.Extensions.Logging;
using Microsoft.Win32.SafeHandles;

namespace Dpu.Qtfs.Mount.Fifos;

/// <summary>
/// The FIFOs of a mount that programs here have open. A FIFO is the kernel's of each side; where a program of the other side is its
/// partner, the bytes are relayed. Thread-safe.
/// </summary>
/// <param name="mount">The mount.</param>
/// <param name="sockets">Opens FIFOs here.</param>
/// <param name="relays">What carries bytes.</param>
/// <param name="logger">The log.</param>
internal sealed class MountFifos(RemoteMount mount, MountSockets sockets, ISocketRelays relays, ILogger logger)
{
    /// <summary>FIFOs of a mount that are relayed at a time; each has a thread or two, here and at the host.</summary>
    public const int Most = 256;

    private readonly Lock _lock = new();
    private readonly Dictionary<ulong, FifoWatch> _watches = [];
    private bool _ended;

    public RemoteMount Mount => mount;

    public ISocketRelays Relays => relays;

    public ILogger Logger => logger;

    public int Open(in fuse_entry_out entry, int access, out SafeFileHandle? opened) => sockets.OpenFifo(entry, access, out opened);

    /// <summary>
    /// A program opens one that may be relayed; on a lane's thread, before it knows what it has looked up. Who does not wait for a partner finds it when this returns,
    /// if the host has one.
    /// </summary>
    public void Opening(in fuse_entry_out entry, FifoOpener opener)
    {
        FifoWatch? watch;
        lock (_lock)
        {
            if (_ended)
            {
                return;
            }

            if (!_watches.TryGetValue(entry.nodeid, out watch))
            {
                if (_watches.Count >= Most)
                {
                    Log.FifoNotRelayed(logger, mount.Options.Target, opener.Program.Pid, $"{Most} are relayed already, which is the most");
                    return;
                }

                _watches.Add(entry.nodeid, watch = new FifoWatch(this, entry));
            }

            watch.Add(opener);
        }

        watch.Prepare(opener);
    }

    /// <summary>Ends all: the mount is no longer in its place.</summary>
    public void End()
    {
        FifoWatch[] all;
        lock (_lock)
        {
            _ended = true;
            all = [.. _watches.Values];
            _watches.Clear();
        }

        Array.ForEach(all, watch => watch.End());
    }

    /// <summary>Whether a watch that has nothing to do any more may end: nobody has come meanwhile.</summary>
    public bool TryLeave(FifoWatch watch)
    {
        lock (_lock)
        {
            if (watch.HasNews)
            {
                return false;
            }

            if (_watches.GetValueOrDefault(watch.Node) == watch)
            {
                _ = _watches.Remove(watch.Node);
            }

            return true;
        }
    }
}
