using Dpu.Fuse;
using Dpu.Link;
using Dpu.Linux;
using Dpu.Proto.V1;
using Dpu.Qtfs.Export.Fifos;
using Microsoft.Win32.SafeHandles;

namespace Dpu.Qtfs.Export;

// FIFOs of exports, whose bytes go to and from programs of peers.
public sealed partial class ExportService
{
    private long _lastFifoTold;

    private HelloReply AdmitFifo(LinkPeer peer, ExportedMount mount, FifoNode asked)
    {
        string? path = PathOf(mount, asked.Node);
        string reason = path is null ? "it is gone, or outside of the export" : "fifos of the export does not name it";
        if (path is null || !mount.Export.Fifos.Match(path, out _))
        {
            Interlocked.Increment(ref _socketsRefused);
            Log.FifoRefused(_logger, peer.Name, path ?? "?", mount.Export.Name, reason);
            return Refuse(HelloStatus.NotPermitted, $"the FIFO may not be relayed: {reason}");
        }

        return new HelloReply { Status = HelloStatus.Ok, Relay = new RelayResult { Path = path } };
    }

    private int AwaitFifo(ExportedMount mount, RelayParameters asked, System.Runtime.InteropServices.SafeHandle peer, out ServedSocket? served)
    {
        served = null;
        if (PathOf(mount, asked.Fifo.Node) is not { } path || !mount.Export.Fifos.Match(path, out FifoDirection rule))
        {
            return -errno.ENOENT;
        }

        FuseWorkerThread.Enter();
        int error = new FifoPartner(mount.Files, mount.Fifos, asked, rule, () => TellOpenForBoth(mount, path)).Await(peer, out SafeFileHandle? socket, out FifoDirection direction);
        _ = FuseWorkerThread.Leave();
        if (error == 0)
        {
            served = new ServedSocket(socket!, new ucred { pid = Environment.ProcessId }, mount.TryJoin, mount.Leave) { Visitor = ((uint)direction, 0) };
        }

        return error;
    }

    private void TellOpenForBoth(ExportedMount mount, string path) => Log.FifoDirectionUnknown(_logger, path, mount.Export.Name, mount.Session.Peer);

    // On a lane's thread, for each look-up of a FIFO.
    private uint TellFifo(ExportedMount mount, ulong node)
    {
        if (PathOf(mount, node) is { } path)
        {
            if (mount.Export.Fifos.Match(path, out _))
            {
                return 1;
            }

            long told = Interlocked.Read(ref _lastFifoTold);
            if ((told == 0 || _time.GetElapsedTime(told) >= TellInterval) && Interlocked.CompareExchange(ref _lastFifoTold, _time.GetTimestamp(), told) == told)
            {
                Log.FifoNotGiven(_logger, mount.Session.Peer, path, mount.Export.Name);
            }
        }

        return 0;
    }
}
