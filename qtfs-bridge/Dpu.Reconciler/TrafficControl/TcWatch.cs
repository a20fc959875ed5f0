using Dpu.Linux;
using Dpu.Reconciler.Targets;
using Microsoft.Win32.SafeHandles;

namespace Dpu.Reconciler.TrafficControl;

/// <summary>
/// Hears of what changes at a place of filters as it happens (the group RTNLGRP_TC of rtnetlink(7)): filters, chains, queueing disciplines, and the
/// interface itself, which may go and come back. Who listens is told that there was something, not what: where the kernel could not tell all, that too is
/// a change.
/// </summary>
public sealed unsafe class TcWatch : IDisposable
{
    private const int Buffer = 1 << 17;
    private readonly TcPlace _place;
    private readonly Action _changed;
    private readonly NetlinkSocket _socket = NetlinkSocket.Open();
    private readonly SafeFileHandle? _wake;
    private readonly Thread? _thread;
    private uint _index;

    /// <summary>Listens in the network namespace of the calling thread from now on.</summary>
    /// <param name="place">The place.</param>
    /// <param name="changed">Called for each datagram with a change, on the watch's own thread: whoever it is makes a note and returns.</param>
    /// <exception cref="TargetException">The kernel does not tell us.</exception>
    public TcWatch(TcPlace place, Action changed)
    {
        ArgumentNullException.ThrowIfNull(place);
        (_place, _changed) = (place, changed);
        try
        {
            _socket.Join([linux_rtnetlink.RTNLGRP_TC, linux_rtnetlink.RTNLGRP_LINK]);

            // After joining, so that what changes between both is heard of.
            TcPorts ports = new(null);
            using (NetlinkSession session = new(NetlinkSocket.Open()))
            {
                ports.Ask(session, new NetlinkWriter(), CancellationToken.None);
            }

            _index = place.Device is { } device ? ports.IndexOf(device) ?? 0 : 0;
            int wake = LibC.Result(LibC.eventfd(0, eventfd_h.EFD_CLOEXEC | eventfd_h.EFD_NONBLOCK));
            _wake = wake >= 0 ? new SafeFileHandle(wake, ownsHandle: true) : throw new TargetException($"cannot make an eventfd: {NetlinkSocket.ErrnoText(-wake)}");
        }
        catch
        {
            Dispose();
            throw;
        }

        _thread = new Thread(Run) { IsBackground = true, Name = $"tc:{place}" };
        _thread.Start();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (_thread is not null)
        {
            ulong one = 1;

            // SAFETY: eight bytes on the stack, as eventfd(2) wants; the descriptor is open until the thread has ended.
            _ = LibC.write((int)_wake!.DangerousGetHandle(), &one, sizeof(ulong));
            _thread.Join();
        }

        _wake?.Dispose();
        _socket.Dispose();
    }

    private void Run()
    {
        byte[] buffer = new byte[Buffer];
        pollfd* wanted = stackalloc pollfd[2];
        while (true)
        {
            wanted[0] = new pollfd { fd = (int)_wake!.DangerousGetHandle(), events = poll.POLLIN };
            wanted[1] = new pollfd { fd = (int)_socket.Handle.DangerousGetHandle(), events = poll.POLLIN };

            // SAFETY: two pollfds on this stack; both descriptors are open as long as this thread runs.
            _ = LibC.poll(wanted, 2, -1);
            if (wanted[0].revents != 0)
            {
                return;
            }

            int length = wanted[1].revents == 0 ? 0 : _socket.TryReceive(buffer);
            if (length < 0 || (length > 0 && IsAbout(buffer.AsSpan(0, Math.Min(length, buffer.Length)))))
            {
                // Also where datagrams were lost (ENOBUFS): one of them may have been about it.
                _changed();
            }
        }
    }

    private bool IsAbout(ReadOnlySpan<byte> datagram)
    {
        bool about = false;
        try
        {
            NetlinkSession.Split(datagram, "rtnetlink", (header, body) => about |= IsAbout(header.nlmsg_type, body));
        }
        catch (TargetException)
        {
            // Expected: a message that was longer than the buffer. What it was about is not known.
            return true;
        }

        return about;
    }

    private bool IsAbout(ushort type, ReadOnlySpan<byte> body)
    {
        switch (type)
        {
            case linux_rtnetlink.RTM_NEWTFILTER or linux_rtnetlink.RTM_DELTFILTER or linux_rtnetlink.RTM_NEWCHAIN or linux_rtnetlink.RTM_DELCHAIN
                or linux_rtnetlink.RTM_NEWQDISC or linux_rtnetlink.RTM_DELQDISC:
                return NetlinkAttributes.TryRead(body, out tcmsg head) && (_place.Device is null
                    ? head.tcm_ifindex == unchecked((int)linux_rtnetlink.TCM_IFINDEX_MAGIC_BLOCK) && head.tcm_parent == _place.Block
                    : _index != 0 && head.tcm_ifindex == (int)_index);
            case linux_rtnetlink.RTM_NEWLINK or linux_rtnetlink.RTM_DELLINK when _place.Device is not null && TcPorts.TryRead(body, out uint index, out string? name):
                uint now = type == linux_rtnetlink.RTM_NEWLINK && name == _place.Device ? index : index == _index ? 0 : _index;
                (bool changed, _index) = (now != _index, now);
                return changed;
            default:
                return false;
        }
    }
}
