using System.Net;
using System.Threading.Channels;
using Microsoft.AspNetCore.Connections;

namespace Dpu.Hosting.Control;

/// <summary>
/// Hands streams that were accepted and authenticated elsewhere (the link's <c>control</c> service) to the control
/// server. Thread-safe.
/// </summary>
public sealed class StreamConnectionListener : IConnectionListener, IConnectionListenerFactory, IConnectionListenerFactorySelector
{
    // Connections that wait for the server to take them; it takes them at once.
    private const int Backlog = 64;

    private readonly Channel<StreamConnection> _waiting = Channel.CreateBounded<StreamConnection>(Backlog);

    /// <inheritdoc/>
    public EndPoint EndPoint => StreamEndPoint.Instance;

    /// <summary>
    /// Serves one connection until either end closes it; the stream is the caller's to dispose afterwards.
    /// </summary>
    /// <param name="stream">A duplex stream, from here on used asynchronously.</param>
    /// <param name="peer">Who is at its other end.</param>
    /// <param name="stopping">Ends the connection.</param>
    /// <exception cref="IOException">The control server has stopped.</exception>
    public async Task ServeAsync(Stream stream, ControlPeer peer, CancellationToken stopping)
    {
        ArgumentNullException.ThrowIfNull(stream);
        ArgumentNullException.ThrowIfNull(peer);
        await using var connection = new StreamConnection(stream, peer);
        using CancellationTokenRegistration registration = stopping.Register(
            static c => ((StreamConnection)c!).Abort(new ConnectionAbortedException("The control server stops.")), connection);
        try
        {
            await _waiting.Writer.WriteAsync(connection, stopping).ConfigureAwait(false);
        }
        catch (ChannelClosedException e)
        {
            throw new IOException("The control server has stopped.", e);
        }

        await connection.Ended.ConfigureAwait(false);
    }

    /// <inheritdoc/>
    public bool CanBind(EndPoint endpoint) => endpoint is StreamEndPoint;

    /// <inheritdoc/>
    public ValueTask<IConnectionListener> BindAsync(EndPoint endpoint, CancellationToken cancellationToken = default) =>
        ValueTask.FromResult<IConnectionListener>(this);

    /// <inheritdoc/>
    public async ValueTask<ConnectionContext?> AcceptAsync(CancellationToken cancellationToken = default)
    {
        while (await _waiting.Reader.WaitToReadAsync(cancellationToken).ConfigureAwait(false))
        {
            if (_waiting.Reader.TryRead(out StreamConnection? connection))
            {
                return connection;
            }
        }

        return null;
    }

    /// <inheritdoc/>
    public ValueTask UnbindAsync(CancellationToken cancellationToken = default)
    {
        _ = _waiting.Writer.TryComplete();
        return ValueTask.CompletedTask;
    }

    /// <inheritdoc/>
    public ValueTask DisposeAsync()
    {
        _ = _waiting.Writer.TryComplete();
        // Nobody accepts these any more; their callers wait for their end.
        while (_waiting.Reader.TryRead(out StreamConnection? connection))
        {
            connection.Abort(new ConnectionAbortedException("The control server stops."));
        }

        return ValueTask.CompletedTask;
    }
}
