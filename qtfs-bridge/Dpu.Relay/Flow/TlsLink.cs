using System.Buffers;
using System.Net.Sockets;
using Dpu.Link;
using Microsoft.Win32.SafeHandles;

namespace Dpu.Relay.Flow;

/// <summary>
/// A connection of the link whose bytes pass through TLS in this process: a pair of sockets lies between it and the loop, and two tasks
/// carry the bytes. While nothing comes they hold no buffer.
/// </summary>
internal sealed class TlsLink : IRelayLink
{
    // What one TLS record holds.
    private const int RecordSize = 16 << 10;

    private readonly LinkConnection _connection;
    private readonly SafeFileHandle _outer;
    private readonly Socket _inner;

    public TlsLink(LinkConnection connection)
    {
        _connection = connection;
        if (!LocalSocket.TryPair(SocketKind.Stream, out SafeFileHandle? outer, out int inner))
        {
            throw new IOException("a pair of sockets for a relay over TLS could not be made: the service has no more descriptors");
        }

        _outer = outer;
        _inner = new Socket(new SafeSocketHandle(inner, ownsHandle: true));
        _ = UpAsync();
        _ = DownAsync();
    }

    public int Descriptor => (int)_outer.DangerousGetHandle();

    // What was written is in the pair; its end then ends the connection.
    public void Dispose() => _outer.Dispose();

    private async Task UpAsync()
    {
        try
        {
            while (true)
            {
                _ = await _inner.ReceiveAsync(Memory<byte>.Empty).ConfigureAwait(false);
                byte[] buffer = ArrayPool<byte>.Shared.Rent(4 * RecordSize);
                try
                {
                    int read = await _inner.ReceiveAsync(buffer).ConfigureAwait(false);
                    if (read == 0)
                    {
                        break;
                    }

                    await _connection.Stream.WriteAsync(buffer.AsMemory(0, read)).ConfigureAwait(false);
                }
                finally
                {
                    ArrayPool<byte>.Shared.Return(buffer);
                }
            }
        }
        catch (Exception e) when (IsEnd(e))
        {
            // Expected: the link broke. The other task sees it too, and the relay by the pair's end.
            ShutInner();
        }

        // Ends the other task.
        _connection.Dispose();
    }

    private async Task DownAsync()
    {
        try
        {
            while (true)
            {
                _ = await _connection.Stream.ReadAsync(Memory<byte>.Empty).ConfigureAwait(false);
                byte[] buffer = ArrayPool<byte>.Shared.Rent(2 * RecordSize);
                try
                {
                    int read = await _connection.Stream.ReadAsync(buffer).ConfigureAwait(false);
                    if (read == 0)
                    {
                        break;
                    }

                    for (int sent = 0; sent < read;)
                    {
                        sent += await _inner.SendAsync(buffer.AsMemory(sent, read - sent)).ConfigureAwait(false);
                    }
                }
                finally
                {
                    ArrayPool<byte>.Shared.Return(buffer);
                }
            }
        }
        catch (Exception e) when (IsEnd(e))
        {
            // Expected: the link broke, or the relay is over.
            _connection.Abort();
        }

        ShutInner();
        _inner.Dispose();
    }

    private static bool IsEnd(Exception e) => e is IOException or SocketException or ObjectDisposedException or InvalidOperationException;

    private void ShutInner()
    {
        try
        {
            _inner.Shutdown(SocketShutdown.Both);
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // Expected: it has ended already.
            return;
        }
    }
}
