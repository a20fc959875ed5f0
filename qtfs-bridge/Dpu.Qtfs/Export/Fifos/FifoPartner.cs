using System.Runtime.InteropServices;
using Dpu.Fuse;
using Dpu.Linux;
using Dpu.Proto.V1;
using Dpu.Qtfs.Fifos;
using Microsoft.Win32.SafeHandles;

namespace Dpu.Qtfs.Export.Fifos;

/// <summary>
/// Waits for a program of this machine at the other end of a FIFO that a program of a peer has open. Nobody here is disturbed by it but as
/// that program itself would: who is open for reading releases writers, and a writer is there only when its readers are found.
/// </summary>
/// <param name="files">The mount's.</param>
/// <param name="ends">Those of the mount that this process has open.</param>
/// <param name="asked">By whom, and of which FIFO.</param>
/// <param name="rule">Which way it goes where both sides hold it open for both, as policy says; unspecified where it does not.</param>
/// <param name="tellOpenForBoth">Says that there is no such rule, and needs one to be.</param>
internal sealed unsafe class FifoPartner(PassthroughFileSystem files, FifoEnds ends, RelayParameters asked, FifoDirection rule, Action tellOpenForBoth)
{
    // A FIFO tells nobody that it was opened: neither inotify(7), before the open is over, nor poll(2).
    private const int LookMilliseconds = 20;

    // That looks through all processes.
    private const int LookForHoldersMilliseconds = 200;
    private static readonly TimeSpan NoPatience = TimeSpan.Zero;

    // Who is not to wait waits for what was cancelled the other way, which ends at once.
    private const int MostLooksAtOnce = 25;

    /// <summary>Waits; on a thread that changes its identity.</summary>
    /// <param name="peer">The peer's connection; what comes on it ends the wait.</param>
    /// <param name="socket">The relay's end of what moves the bytes.</param>
    /// <param name="direction">Which way.</param>
    /// <returns>0 or a negated errno.</returns>
    public int Await(SafeHandle peer, out SafeFileHandle? socket, out FifoDirection direction)
    {
        socket = null;
        direction = asked.Fifo.Direction;
        SafeFileHandle? held = null;
        try
        {
            int error = direction == FifoDirection.Unspecified ? FindDirection(peer, out direction, out held) : 0;
            return error < 0 ? error
                : direction == FifoDirection.ToHost ? AwaitReader(peer, out socket)
                : AwaitWriter(peer, out socket);
        }
        finally
        {
            held?.Dispose();
        }
    }

    private static bool IsOver(SafeHandle peer, int milliseconds)
    {
        var wait = new pollfd { fd = (int)peer.DangerousGetHandle(), events = poll.POLLIN | poll.POLLRDHUP };

        // SAFETY: one on this stack; the connection is the caller's.
        _ = LibC.poll(&wait, 1, milliseconds);
        return wait.revents != 0;
    }

    // Of one that was taken, which is given back when it is over.
    private int Start(SafeFileHandle fifo, FifoEnd end, byte? first, out SafeFileHandle? socket)
    {
        if (FifoPump.TryMake(fifo, end.Direction == FifoDirection.ToDpu, first, NoPatience, out socket) is not { } pump)
        {
            ends.GiveBack(end);
            return -errno.EMFILE;
        }

        void Run()
        {
            // What the program's predecessor has written may be on its way still: the link was away, or nobody reads.
            ends.AwaitTurn(end);
            pump.Run();
            ends.GiveBack(end);
        }

        new Thread(Run, 256 * 1024) { IsBackground = true, Name = "fifo" }.Start();
        return 0;
    }

    // When this process has it open no more, but to write where that is wanted again.
    private FifoEnd? Take(SafeHandle peer, FifoDirection direction, out int error)
    {
        for (int look = 0; ; look++)
        {
            if (ends.TryTake(asked.Fifo.Node, direction) is { } end)
            {
                error = 0;
                return end;
            }

            if (asked.Fifo.AtOnce && look == MostLooksAtOnce)
            {
                error = -errno.ENXIO;
                return null;
            }

            if (IsOver(peer, LookMilliseconds))
            {
                error = -errno.EPIPE;
                return null;
            }
        }
    }

    private int Open(int access, out SafeFileHandle? fifo)
    {
        Span<uint> groups = stackalloc uint[Math.Min(asked.Groups.Count, IdentityPolicy.MaxGroups)];
        for (int i = 0; i < groups.Length; i++)
        {
            groups[i] = asked.Groups[i];
        }

        return files.OpenFifo(new FuseCaller { Uid = asked.Uid, Gid = asked.Gid, SupplementaryGroups = groups }, asked.Fifo.Node, access, out fifo);
    }

    private int AwaitReader(SafeHandle peer, out SafeFileHandle? socket)
    {
        socket = null;
        while (true)
        {
            if (Take(peer, FifoDirection.ToHost, out int error) is not { } end)
            {
                return error;
            }

            error = Open(fcntl.O_WRONLY, out SafeFileHandle? fifo);
            if (fifo is not null)
            {
                return Start(fifo, end, null, out socket);
            }

            ends.GiveBack(end);
            if (error != -errno.ENXIO || asked.Fifo.AtOnce)
            {
                return error;
            }

            if (IsOver(peer, LookMilliseconds))
            {
                return -errno.EPIPE;
            }
        }
    }

    private int AwaitWriter(SafeHandle peer, out SafeFileHandle? socket)
    {
        socket = null;
        if (Take(peer, FifoDirection.ToDpu, out int error) is not { } end)
        {
            return error;
        }

        error = Open(fcntl.O_RDONLY, out SafeFileHandle? fifo);
        byte? first = null;
        if (fifo is not null && (error = AwaitWriter(peer, fifo, out first)) == 0)
        {
            return Start(fifo, end, first, out socket);
        }

        fifo?.Dispose();
        ends.GiveBack(end);
        return error;
    }

    private int AwaitWriter(SafeHandle peer, SafeFileHandle fifo, out byte? first)
    {
        pollfd* waits = stackalloc pollfd[2];
        bool last = false;
        while (!FifoPump.HasWriter(fifo, out first))
        {
            if (last)
            {
                return asked.Fifo.AtOnce ? -errno.ENXIO : -errno.EPIPE;
            }

            // Data and the end of a writer end the wait at once, that one has opened it the next look.
            waits[0] = new pollfd { fd = (int)peer.DangerousGetHandle(), events = poll.POLLIN | poll.POLLRDHUP };
            waits[1] = new pollfd { fd = (int)fifo.DangerousGetHandle(), events = poll.POLLIN };

            // SAFETY: two on this stack.
            _ = LibC.poll(waits, 2, LookMilliseconds);

            // Who has come since is this one's, also where the link has broken meanwhile: the peer asks for what was begun.
            last = waits[0].revents != 0 || asked.Fifo.AtOnce;
        }

        return 0;
    }

    // The peer's program has it open for both: so has this process, until it is known which way its partner here wants it.
    private int FindDirection(SafeHandle peer, out FifoDirection direction, out SafeFileHandle? held)
    {
        direction = rule;
        held = null;
        if (rule != FifoDirection.Unspecified)
        {
            return 0;
        }

        if (Take(peer, FifoDirection.Unspecified, out int error) is not { } end)
        {
            return error;
        }

        // Only while it is looked for: what comes next takes its way, and this side's end is held until then.
        try
        {
            return FindPartner(peer, out direction, out held);
        }
        finally
        {
            ends.GiveBack(end);
        }
    }

    private int FindPartner(SafeHandle peer, out FifoDirection direction, out SafeFileHandle? held)
    {
        direction = FifoDirection.Unspecified;
        held = null;
        int error = files.FindFifo(asked.Fifo.Node, out ulong device, out ulong inode);
        if (error < 0 || (error = Open(fcntl.O_RDWR, out held)) < 0)
        {
            return error;
        }

        bool told = false;
        for (bool last = false; ; last = IsOver(peer, LookForHoldersMilliseconds))
        {
            _ = FuseWorkerThread.Leave();
            List<FifoHolder> holders = FifoHolder.Find(device, inode);
            bool reads = holders.Any(holder => holder.Access == fcntl.O_RDONLY);
            bool both = holders.Any(holder => holder.Access == fcntl.O_RDWR);

            // Who has written may have closed it again.
            bool writes = holders.Any(holder => holder.Access == fcntl.O_WRONLY) || (!both && !reads && (poll.Now(held!, poll.POLLIN) & poll.POLLIN) != 0);
            if (reads != writes)
            {
                direction = reads ? FifoDirection.ToHost : FifoDirection.ToDpu;
                return 0;
            }

            if (!told && !reads && both)
            {
                told = true;
                tellOpenForBoth();
            }

            // As of a writer that is awaited.
            if (last)
            {
                return -errno.EPIPE;
            }
        }
    }
}
