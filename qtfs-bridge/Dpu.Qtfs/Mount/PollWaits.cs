using Dpu.Fuse;
using Dpu.Fuse.Wire;
using Dpu.Linux;

namespace Dpu.Qtfs.Mount;

/// <summary>
/// Programs that wait in poll(2) for files of the host that are not ready: each is woken after a while, and its kernel asks
/// the host again. So no connection waits, and nothing has to be kept on the host. Thread-safe.
/// </summary>
internal sealed unsafe class PollWaits : IDisposable
{
    /// <summary>How late an event may be seen; each program that waits costs a request so often.</summary>
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(100);

    private readonly Lock _lock = new();
    private readonly AutoResetEvent _work = new(false);
    private readonly ManualResetEvent _stop = new(false);
    private readonly RemoteMount _mount;

    // As what is in _waiting, for a runtime that takes the place of this one.
    private readonly KnownIds _asked;
    private HashSet<ulong> _waiting = [];
    private HashSet<ulong> _woken = [];
    private Thread? _thread;

    public PollWaits(RemoteMount mount)
    {
        _mount = mount;
        _asked = new KnownIds(mount.State, "polls");
    }

    /// <summary>The host has answered FUSE_POLL: remembers who goes on waiting.</summary>
    /// <param name="request">The request, whole.</param>
    /// <param name="length">Its length in bytes.</param>
    /// <param name="reply">The answer, whose framing has been checked.</param>
    /// <param name="replyLength">Its length in bytes.</param>
    public void Answered(byte* request, int length, byte* reply, int replyLength)
    {
        if (length < sizeof(fuse_in_header) + sizeof(fuse_poll_in) || replyLength < sizeof(fuse_out_header) + sizeof(fuse_poll_out)
            || ((fuse_out_header*)reply)->error != 0)
        {
            return;
        }

        // SAFETY: both are whole, as was just seen.
        var asked = (fuse_poll_in*)(request + sizeof(fuse_in_header));
        uint ready = ((fuse_poll_out*)(reply + sizeof(fuse_out_header)))->revents;
        const uint always = (uint)(poll.POLLERR | poll.POLLHUP);
        if ((asked->flags & FuseConstants.FUSE_POLL_SCHEDULE_NOTIFY) == 0 || (ready & (asked->events | always)) != 0)
        {
            return;
        }

        lock (_lock)
        {
            _waiting.Add(asked->kh);
            _asked.Add(asked->kh);
            _thread ??= _mount.StartThread("polls", Run);
        }

        _work.Set();
    }

    /// <summary>Wakes whom an earlier runtime has left waiting; once the mount is served.</summary>
    public void Recover()
    {
        lock (_lock)
        {
            _waiting.UnionWith(_asked.All());
            if (_waiting.Count == 0)
            {
                return;
            }

            _thread ??= _mount.StartThread("polls", Run);
        }

        _work.Set();
    }

    /// <summary>Ends the thread; the mount is gone.</summary>
    public void Stop()
    {
        Thread? thread;
        lock (_lock)
        {
            thread = _thread;
        }

        _stop.Set();
        thread?.Join();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _work.Dispose();
        _stop.Dispose();
    }

    private void Run()
    {
        WaitHandle[] either = [_stop, _work];
        while (WaitHandle.WaitAny(either) != 0 && !_stop.WaitOne(Pause))
        {
            lock (_lock)
            {
                (_waiting, _woken) = (_woken, _waiting);
            }

            foreach (ulong handle in _woken)
            {
                _asked.Remove(handle);
                Wake(handle);
            }

            _woken.Clear();
        }
    }

    private void Wake(ulong handle)
    {
        byte* message = stackalloc byte[sizeof(fuse_out_header) + sizeof(fuse_notify_poll_wakeup_out)];
        int length = sizeof(fuse_out_header) + sizeof(fuse_notify_poll_wakeup_out);
        *(fuse_out_header*)message = new fuse_out_header { len = (uint)length, error = (int)fuse_notify_code.FUSE_NOTIFY_POLL };
        *(fuse_notify_poll_wakeup_out*)(message + sizeof(fuse_out_header)) = new fuse_notify_poll_wakeup_out { kh = handle };

        // ENOENT: nobody waits any more. ENODEV: the mount is gone.
        _mount.Notify(message, length);
    }
}
