using System.Diagnostics;
using System.Runtime.InteropServices;
using Dpu.Linux;
using Microsoft.Win32.SafeHandles;

namespace Dpu.Qtfs.Fifos;

/// <summary>
/// Moves the bytes of one FIFO one way, between it and a socket whose other end a relay has. What programs do with the FIFO becomes what a
/// relay tells of a socket: that the last writer has closed it is the end of the stream, that the last reader has is one that reads no more.
/// </summary>
internal sealed unsafe class FifoPump : IDisposable
{
    private const int Chunk = 64 << 10;

    // Only to see that it was stopped while a program does not read.
    private const int StopMilliseconds = 500;

    private readonly SafeFileHandle _fifo;
    private readonly SafeFileHandle _socket;
    private readonly bool _reads;
    private readonly byte? _first;
    private readonly TimeSpan _patience;
    private volatile bool _stopped;
    private volatile bool _unneeded;

    private FifoPump(SafeFileHandle fifo, SafeFileHandle socket, bool reads, byte? first, TimeSpan patience) =>
        (_fifo, _socket, _reads, _first, _patience) = (fifo, socket, reads, first, patience);

    /// <summary>Makes one; <see cref="Run"/> is to be called.</summary>
    /// <param name="fifo">The FIFO, non-blocking, owned from now on whatever comes.</param>
    /// <param name="reads">Whether it is read, else it is written.</param>
    /// <param name="first">A byte that was read from it already.</param>
    /// <param name="patience">How long a FIFO that is read may have no writer at first; infinite until <see cref="EndUnused"/>, zero where it has had one.</param>
    /// <param name="relayEnd">The socket for the relay.</param>
    /// <returns>Null where this process has no descriptors left.</returns>
    public static FifoPump? TryMake(SafeFileHandle fifo, bool reads, byte? first, TimeSpan patience, out SafeFileHandle? relayEnd)
    {
        int* ends = stackalloc int[2];

        // SAFETY: two descriptors on the stack.
        if (sys_socket.socketpair(sys_socket.AF_UNIX, sys_socket.SOCK_STREAM | sys_socket.SOCK_CLOEXEC, 0, ends) < 0)
        {
            relayEnd = null;
            fifo.Dispose();
            return null;
        }

        relayEnd = new SafeFileHandle(ends[1], ownsHandle: true);
        return new FifoPump(fifo, new SafeFileHandle(ends[0], ownsHandle: true), reads, first, patience);
    }

    /// <summary>Moves them until either end is over; on a thread of its own. Both descriptors are closed then.</summary>
    public void Run()
    {
        byte* buffer = (byte*)NativeMemory.Alloc(Chunk);
        try
        {
            if (_reads)
            {
                // Nothing comes from there. When its relay reads no more, it is shut down for both, which poll(2) tells. The other way round it
                // stays open: who has said that it writes no more cannot say any more that it does not read either.
                _ = sys_socket.shutdown(_socket, sys_socket.SHUT_RD);
                FromFifo(buffer);
            }
            else
            {
                ToFifo(buffer);
            }
        }
        finally
        {
            NativeMemory.Free(buffer);
            _fifo.Dispose();
            _socket.Dispose();
        }
    }

    /// <summary>Has <see cref="Run"/> return soon; from any thread.</summary>
    public void Dispose()
    {
        _stopped = true;
        try
        {
            _ = sys_socket.shutdown(_socket, sys_socket.SHUT_RDWR);
        }
        catch (ObjectDisposedException)
        {
            // Expected: it has ended by itself.
            return;
        }
    }

    /// <summary>Has <see cref="Run"/> return soon where no writer has come yet, of which nothing can be lost then; from any thread.</summary>
    public void EndUnused() => _unneeded = true;

    /// <summary>Looks into a FIFO that is open for reading; <paramref name="first"/> gets a byte where there is one.</summary>
    /// <returns>Whether it has a writer, or had one.</returns>
    public static bool HasWriter(SafeFileHandle fifo, out byte? first)
    {
        first = null;
        short events = poll.Now(fifo, poll.POLLIN);
        if ((events & (poll.POLLIN | poll.POLLHUP)) != 0)
        {
            return true;
        }

        // The end is told where there is no writer, EAGAIN where there is one that has written nothing.
        byte one;
        int read = (int)LibC.Result(LibC.read((int)fifo.DangerousGetHandle(), &one, 1));
        first = read == 1 ? one : null;
        return read != 0;
    }

    private void FromFifo(byte* buffer)
    {
        if (_first is { } first && !Send(&first, 1))
        {
            return;
        }

        long began = Stopwatch.GetTimestamp();
        bool awaits = _patience != TimeSpan.Zero;
        int descriptor = (int)_fifo.DangerousGetHandle();
        while (!_stopped)
        {
            short events = Poll(poll.POLLIN, awaits ? 10 : -1, out bool over);
            if (over)
            {
                return;
            }

            if (awaits && events == 0)
            {
                bool unneeded = _unneeded;
                awaits = !HasWriter(_fifo, out byte? early);
                if (early is { } one && !Send(&one, 1))
                {
                    return;
                }

                if (awaits && (unneeded || (_patience > TimeSpan.Zero && Stopwatch.GetElapsedTime(began) > _patience)))
                {
                    return;
                }

                continue;
            }

            // SAFETY: the buffer's size.
            int read = (int)LibC.Result(LibC.read(descriptor, buffer, Chunk));
            if (read == 0 || (read < 0 && read is not (-errno.EAGAIN or -errno.EINTR)) || (read > 0 && !Send(buffer, read)))
            {
                return;
            }

            awaits &= read < 0;
        }
    }

    private void ToFifo(byte* buffer)
    {
        int descriptor = (int)_fifo.DangerousGetHandle();
        pollfd* waits = stackalloc pollfd[2];
        while (!_stopped)
        {
            waits[0] = new pollfd { fd = (int)_socket.DangerousGetHandle(), events = poll.POLLIN };
            waits[1] = new pollfd { fd = descriptor };

            // SAFETY: two on this stack.
            _ = LibC.poll(waits, 2, -1);
            if ((waits[1].revents & poll.POLLERR) != 0)
            {
                return;
            }

            if (waits[0].revents == 0)
            {
                continue;
            }

            // SAFETY: the buffer's size.
            int received = (int)LibC.Result(sys_socket.recv((int)_socket.DangerousGetHandle(), buffer, Chunk, msg_flags.MSG_DONTWAIT));
            if (received == 0 || (received < 0 && received is not (-errno.EAGAIN or -errno.EINTR)) || (received > 0 && !Write(descriptor, buffer, received)))
            {
                return;
            }
        }
    }

    // False where nobody reads any more.
    private bool Write(int descriptor, byte* bytes, int size)
    {
        while (size > 0 && !_stopped)
        {
            // SAFETY: the caller's bytes.
            int written = (int)LibC.Result(LibC.write(descriptor, bytes, (nuint)size));
            if (written >= 0)
            {
                bytes += written;
                size -= written;
                continue;
            }

            if (written is not (-errno.EAGAIN or -errno.EINTR))
            {
                return false;
            }

            var wait = new pollfd { fd = descriptor, events = poll.POLLOUT };

            // SAFETY: one on this stack.
            _ = LibC.poll(&wait, 1, StopMilliseconds);
        }

        return size == 0;
    }

    // False where the relay is over, or the other end reads no more.
    private bool Send(byte* bytes, int size)
    {
        while (size > 0)
        {
            // SAFETY: the caller's bytes.
            int sent = (int)LibC.Result(sys_socket.send((int)_socket.DangerousGetHandle(), bytes, (nuint)size, msg_flags.MSG_NOSIGNAL));
            if (sent < 0 && sent != -errno.EINTR)
            {
                return false;
            }

            bytes += Math.Max(sent, 0);
            size -= Math.Max(sent, 0);
        }

        return true;
    }

    // What the FIFO has; whether the socket is over.
    private short Poll(short events, int milliseconds, out bool over)
    {
        pollfd* waits = stackalloc pollfd[2];
        waits[0] = new pollfd { fd = (int)_fifo.DangerousGetHandle(), events = events };
        waits[1] = new pollfd { fd = (int)_socket.DangerousGetHandle() };

        // SAFETY: two on this stack.
        _ = LibC.poll(waits, 2, milliseconds);
        over = (waits[1].revents & (poll.POLLHUP | poll.POLLERR | poll.POLLNVAL)) != 0;
        return waits[0].revents;
    }
}
