using System.Buffers;
using System.Net.Security;
using Dpu.Link.Sockets;
using Dpu.Linux;

namespace Dpu.Link;

/// <summary>
/// A connection with TLS that is read and written without waiting, as a socket by recv(2) and send(2): whoever waits for its descriptor with
/// epoll(7), edge-triggered, needs no other thread for TLS. While nothing comes it holds no buffers. One thread's at a time.
/// </summary>
/// <remarks>
/// <see cref="SslStream"/> knows only reads that wait. Such a read stops in <see cref="PolledTransport"/>, and goes on inside of <see cref="Receive"/>
/// when the socket has more: all of it, decryption among it, on the thread that calls.
/// </remarks>
public sealed class PolledTls : IDisposable
{
    // What one TLS record holds, and how much is encrypted at once.
    private const int RecordSize = 16 << 10;
    private const int MostSent = 4 * RecordSize;
    private static readonly TimeSpan EndLimit = TimeSpan.FromSeconds(5);

    private readonly LinkConnection _connection;
    private readonly SslStream _tls;
    private readonly PolledTransport _transport;
    private Task<int>? _reading;
    private byte[]? _plain;
    private int _plainStart;
    private int _plainEnd;
    private bool _isAhead;
    private bool _ended;
    private bool _disposed;
    private bool _takesNoMore;
    private int _error;

    internal PolledTls(LinkConnection connection, SslStream tls, PolledTransport transport) => (_connection, _tls, _transport) = (connection, tls, transport);

    /// <summary>What epoll(7) waits for.</summary>
    public int Descriptor => (int)_connection.Socket.Handle;

    /// <summary>Whether the socket has yet to take what was sent: <see cref="TryFlush"/> when it has room.</summary>
    public bool IsFull => !_transport.Rest.IsEmpty;

    /// <summary>As recv(2): bytes, 0 at the end, or a negated errno; EAGAIN where nothing is there. Less than there was room for is all that is there.</summary>
    public unsafe int Receive(byte* into, int size)
    {
        int done = 0;
        do
        {
            _transport.Refresh();
            while (done < size && (_plainEnd > _plainStart || Read()))
            {
                int some = Math.Min(size - done, _plainEnd - _plainStart);
                _plain.AsSpan(_plainStart, some).CopyTo(new Span<byte>(into + done, some));
                done += some;
                _plainStart += some;
                if (_plainStart == _plainEnd)
                {
                    LetGo();
                }
            }
        }
        while (done == 0 && _error == 0 && !_ended && _transport.IsDrained);

        // Of a record that has come in part there is nothing to say yet; what has come behind it is asked for, since the end may be there, which is told but once.
        return done > 0 || _ended ? done : _error != 0 ? _error : -errno.EAGAIN;
    }

    /// <summary>epoll(7) says that there is something to read: the next <see cref="Receive"/> need not ask again.</summary>
    public void Tell() => _transport.Tell();

    /// <summary>As send(2): how many bytes were taken, or a negated errno; EAGAIN while it <see cref="IsFull"/>.</summary>
    public unsafe int Send(byte* bytes, int size)
    {
        if (_takesNoMore || !TryFlush())
        {
            return _takesNoMore ? -errno.EPIPE : -errno.EAGAIN;
        }

        int some = Math.Min(size, MostSent);
        byte[] buffer = ArrayPool<byte>.Shared.Rent(some);
        try
        {
            new ReadOnlySpan<byte>(bytes, some).CopyTo(buffer);
            ValueTask write = _tls.WriteAsync(buffer.AsMemory(0, some));
            if (!write.IsCompleted)
            {
                throw new InvalidOperationException("TLS waits with a write, though its transport never does.");
            }

            write.GetAwaiter().GetResult();
            return some;
        }
        catch (Exception e) when (IsEnd(e))
        {
            // Expected: that is how connections end. Some records may have gone: they were taken, and what comes next is not.
            _takesNoMore = true;
            return some;
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }

    /// <summary>Gives the socket what it takes; whether nothing is left.</summary>
    public bool TryFlush() => _transport.TryFlush();

    /// <summary>Sends what is left, where the other end takes it within some seconds, and ends the connection.</summary>
    public void Dispose()
    {
        if (_disposed)
        {
            return;
        }

        _disposed = true;
        _transport.End();
        if (_reading is { IsCompleted: true })
        {
            _ = _reading.Exception;
            _reading = null;
        }

        LetGo();
        if (_transport.TryFlush())
        {
            _connection.Dispose();
            return;
        }

        _ = FinishAsync();
    }

    private static bool IsEnd(Exception e) => e is IOException or ObjectDisposedException or System.Net.Sockets.SocketException or OperationCanceledException;

    private async Task FinishAsync()
    {
        try
        {
            using var limit = new CancellationTokenSource(EndLimit);
            ReadOnlyMemory<byte> rest = _transport.Rest;
            while (!rest.IsEmpty)
            {
                rest = rest[await _connection.Socket.SendAsync(rest, limit.Token).ConfigureAwait(false)..];
            }
        }
        catch (Exception e) when (IsEnd(e))
        {
            // Expected: nobody is there who would take it.
            _connection.Abort();
        }

        _connection.Dispose();
    }

    /// <summary>Whether there are decrypted bytes now.</summary>
    private bool Read()
    {
        try
        {
            while (!_ended && _error == 0)
            {
                int read;
                if (_reading is null)
                {
                    // First one of nothing, for which no buffer is held while it waits.
                    ValueTask<int> begun = _tls.ReadAsync(_isAhead ? _plain = ArrayPool<byte>.Shared.Rent(RecordSize) : Memory<byte>.Empty);
                    if (!begun.IsCompleted)
                    {
                        _reading = begun.AsTask();
                        continue;
                    }

                    read = begun.GetAwaiter().GetResult();
                }
                else
                {
                    _transport.Poll();
                    if (!_reading.IsCompleted)
                    {
                        return false;
                    }

                    Task<int> done = _reading;
                    _reading = null;
                    read = done.GetAwaiter().GetResult();
                }

                _isAhead = !_isAhead;
                if (!_isAhead && read > 0)
                {
                    (_plainStart, _plainEnd) = (0, read);
                    return true;
                }

                _ended = !_isAhead;
            }
        }
        catch (Exception e) when (IsEnd(e))
        {
            // Expected: that is how connections end.
            _error = -errno.ECONNRESET;
        }

        if (_reading is null)
        {
            LetGo();
        }

        return false;
    }

    private void LetGo()
    {
        if (_plain is not null && _reading is null)
        {
            ArrayPool<byte>.Shared.Return(_plain);
        }

        (_plain, _plainStart, _plainEnd) = (null, 0, 0);
    }
}
