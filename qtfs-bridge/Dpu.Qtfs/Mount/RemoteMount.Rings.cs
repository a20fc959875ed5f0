using Dpu.Fuse;
using Dpu.Fuse.Ring;
using Dpu.Fuse.Wire;
using Dpu.Link;
using Dpu.Qtfs.Mount.Ring;
using Microsoft.Win32.SafeHandles;

namespace Dpu.Qtfs.Mount;

// The transport: the lanes on /dev/fuse, and the rings where they are wanted and can be had.
public sealed partial class RemoteMount
{
    private SafeFileHandle[] _laneDevices = [];

    // Lanes on /dev/fuse that run; the rest starts where rings turn out to be of no use.
    private int _lanesStarted;

    /// <summary>The transport in use.</summary>
    public MountTransport Transport => Rings is { InUse: true } && RingRefusal is null ? MountTransport.IoUring : MountTransport.Fuse;

    /// <summary>Why io_uring is not used though it was asked for; null where it is, or was not.</summary>
    public string? RingRefusal { get; private set; }

    /// <summary>The ring lanes; null where none were asked for, or there can be none.</summary>
    internal RingLanes? Rings { get; private set; }

    /// <summary>Makes the rings, before FUSE_INIT is answered, and starts as many lanes on /dev/fuse as are needed.</summary>
    private void StartLanes(SafeFileHandle[] devices, LinkConnection first)
    {
        _laneDevices = devices;

        // Held until the lanes on /dev/fuse run: rings that are refused end at once, and are not the mount's end.
        Interlocked.Increment(ref _lanesRunning);
        if (Options.Transport == MountTransport.IoUring)
        {
            RingRefusal = Options.OwnProcesses ? "a mount with this machine's own processes is answered in part here, by lanes"
                : first.IsPlain ? FuseRingSupport.FindRefusal() : "the link is encrypted by TLS, whose bytes pass through this process; io_uring needs a unix link";
            if (RingRefusal is null)
            {
                int allowed = (int)Math.Min(first.Reply.Fs.MaxLanes, int.MaxValue);
                Rings = RingLanes.Create(this, _device, allowed);
                Relief.Allowed = Math.Clamp(allowed - (Rings.Count * RingLanes.LinksFor(Rings.Count, allowed)) - 1, 0, Relief.Allowed);
                Interlocked.Add(ref _lanesRunning, Rings.Count);
                RingRefusal = Rings.Start(RingEnded);
            }

            if (RingRefusal is not null)
            {
                Log.NoRings(_logger, Options.Target, RingRefusal);
            }
        }

        InitExchange.AllowRings = Options.Transport == MountTransport.IoUring && RingRefusal is null;
        StartDeviceLanes(InitExchange.AllowRings ? 1 : _lanes.Length);
        LaneEnded(_lanes[0]);
    }

    /// <summary>An answer is with the kernel; after that to FUSE_INIT it takes rings.</summary>
    internal void Delivered(uint opcode)
    {
        if (opcode == (uint)fuse_opcode.FUSE_INIT && Rings is { } rings)
        {
            if (!InitExchange.HasRings)
            {
                RefuseRings("this kernel does not offer FUSE over io_uring");
            }

            rings.Go(InitExchange.HasRings);
        }
    }

    private void RefuseRings(string why)
    {
        if (RingRefusal is null && InitExchange.Refusal is null)
        {
            RingRefusal = why;
            Log.NoRings(_logger, Options.Target, why);
            StartDeviceLanes(_lanes.Length);
        }
    }

    // On the ring lane's thread. The kernel that has refused a ring goes back to /dev/fuse.
    private void RingEnded(string? failure)
    {
        if (failure is not null && !Stopping)
        {
            RefuseRings($"the kernel refused the ring: {failure}");
        }

        LaneEnded(_lanes[0]);
    }

    private void LaneEnded(MountLane lane)
    {
        if (Interlocked.Decrement(ref _lanesRunning) == 0)
        {
            End(lane);
        }
    }

    private void StartDeviceLanes(int count)
    {
        lock (_laneDevices)
        {
            for (; _lanesStarted < count; _lanesStarted++)
            {
                MountLane lane = _lanes[_lanesStarted];
                SafeFileHandle device = _laneDevices[_lanesStarted];
                Interlocked.Increment(ref _lanesRunning);
                StartThread($"lane{_lanesStarted}", () => RunLane(lane, device));
            }
        }
    }
}
