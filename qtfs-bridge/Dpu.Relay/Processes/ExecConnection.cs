using Dpu.Link;
using Dpu.Linux;

namespace Dpu.Relay.Processes;

/// <summary>
/// A connection of service <c>exec</c>: a process's while a <see cref="ProcessChannel"/> has it, and before and after that one thread's, which may wait.
/// Where both ends say so it serves one process after the other: a handshake takes as long as all the rest of a start.
/// </summary>
/// <param name="link">It, after its hello; this object's own from now on.</param>
public sealed unsafe class ExecConnection(LinkConnection link) : IDisposable
{
    private IRelayLink? _polled;
    private TimeSpan _limit;

    /// <summary>Who is there, and what both have said; not to be read, written or ended.</summary>
    public LinkConnection Link => link;

    /// <summary>Whether the other end takes it for the next process when one is over.</summary>
    public bool Reuses => link.Hello.Exec is { Reuses: true } && link.Reply.Exec is { Reuses: true };

    /// <summary>Whether nothing says that it has ended.</summary>
    public bool IsOpen => !link.Socket.SafeHandle.IsClosed && (poll.Now(link.Socket.SafeHandle, poll.POLLRDHUP) & (poll.POLLRDHUP | poll.POLLHUP | poll.POLLERR)) == 0;

    // From then on TLS is no stream any more.
    internal IRelayLink Polled => _polled ??= RelayHub.LinkOf(link);

    /// <summary>Writes all of it.</summary>
    /// <exception cref="IOException">The connection has ended, or takes nothing for so long.</exception>
    public void Write(ReadOnlySpan<byte> bytes, TimeSpan limit)
    {
        if (_polled is null)
        {
            SetLimit(limit);
            link.Stream.Write(bytes);
            link.Stream.Flush();
            return;
        }

        fixed (byte* at = bytes)
        {
            for (int done = 0; done < bytes.Length;)
            {
                // SAFETY: pinned, with what is left of it.
                int sent = _polled.Send(at + done, bytes.Length - done);
                done += Check(sent, poll.POLLOUT, limit);
            }
        }

        while (!_polled.TryFlush())
        {
            Wait(poll.POLLOUT, limit);
        }
    }

    /// <summary>Reads so many bytes.</summary>
    /// <exception cref="IOException">The connection has ended, or nothing comes for so long.</exception>
    public void ReadExactly(Span<byte> bytes, TimeSpan limit)
    {
        if (_polled is null)
        {
            SetLimit(limit);
            link.Stream.ReadExactly(bytes);
            return;
        }

        fixed (byte* at = bytes)
        {
            for (int done = 0; done < bytes.Length;)
            {
                // SAFETY: pinned, with what is left of it.
                int got = _polled.Receive(at + done, bytes.Length - done);
                done += got == 0 ? throw new IOException("the other end has ended the connection") : Check(got, poll.POLLIN, limit);
            }
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (_polled is not null)
        {
            _polled.Dispose();
        }
        else
        {
            link.Dispose();
        }
    }

    private void SetLimit(TimeSpan limit)
    {
        if (limit != _limit)
        {
            link.SetTimeouts(limit, limit);
            _limit = limit;
        }
    }

    // How many bytes; waits where there are none.
    private int Check(int result, short events, TimeSpan limit)
    {
        if (result == -errno.EAGAIN)
        {
            Wait(events, limit);
        }
        else if (result < 0 && result != -errno.EINTR)
        {
            throw new IOException($"the connection has ended: errno {-result}");
        }

        return Math.Max(0, result);
    }

    private void Wait(short events, TimeSpan limit)
    {
        if (poll.Await(link.Socket.SafeHandle, events, limit) == 0)
        {
            throw new IOException($"the other end has not answered for {limit.TotalSeconds:0} s");
        }
    }
}
