using Dpu.Fuse;
using Dpu.Fuse.Wire;
using Dpu.Link;

namespace Dpu.Qtfs.Mount;

/// <summary>A lane's connection of the moment. Used by its lane's thread only, but for <see cref="Cut"/>.</summary>
internal sealed unsafe class LaneConnection : IDisposable
{
    private readonly LinkConnection _connection;
    private readonly FuseChannel _channel;

    public LaneConnection(LinkConnection connection, long epoch)
    {
        _connection = connection;
        _channel = new FuseChannel(connection.Stream, sizeof(fuse_out_header), FuseLimits.MaxMessageSize);
        Epoch = epoch;
    }

    /// <summary>The connector's epoch when the connection was made.</summary>
    public long Epoch { get; }

    public LinkConnection Link => _connection;

    /// <summary>In which life of its answers the host serves the lane; 0 where it keeps none, and requests have the kernel's numbers.</summary>
    public ulong Life => _connection.Reply.Fs?.Life ?? 0;

    /// <summary>In which life the host has the mount's nodes and open files; 0 where it does not say.</summary>
    public ulong State => _connection.Reply.Fs?.State ?? 0;

    /// <summary>Whether the host has closed it already; costs a system call.</summary>
    public bool IsClosedByPeer
    {
        get
        {
            try
            {
                // Nothing may arrive between an answer and the next request, so anything readable is an end or a violation.
                return _connection.Socket.Poll(TimeSpan.Zero, System.Net.Sockets.SelectMode.SelectRead);
            }
            catch (Exception e) when (e is System.Net.Sockets.SocketException or ObjectDisposedException)
            {
                // Expected where the link's watchdog has cut the connection.
                return true;
            }
        }
    }

    /// <summary>Whether more has arrived than was received.</summary>
    public bool HasUnread => _channel.HasUnread;

    /// <summary>Sends a request; when this throws, the host cannot have all of it.</summary>
    public void Send(byte* message, int length) => _channel.Send(message, length);

    /// <summary>Receives the answer to <paramref name="unique"/>.</summary>
    /// <returns>Its length in bytes.</returns>
    /// <exception cref="IOException">The connection broke.</exception>
    /// <exception cref="FuseChannelException">The host's answer is not one.</exception>
    public int Receive(ulong unique, out byte* reply)
    {
        int length = ReceiveAny(out reply);
        if (((fuse_out_header*)reply)->unique != unique)
        {
            throw new FuseChannelException($"the host answered request {((fuse_out_header*)reply)->unique}, asked was {unique}");
        }

        return length;
    }

    /// <summary>As <see cref="Receive"/>, to whatever was asked.</summary>
    public int ReceiveAny(out byte* reply)
    {
        int length = _channel.Receive(out reply);
        if (length == 0)
        {
            throw new IOException("the host closed the connection");
        }

        // SAFETY: a whole header has arrived. The host is not trusted: what the kernel would refuse ends here, by name.
        var header = (fuse_out_header*)reply;
        if (header->error is > 0 or <= -512 || (header->error != 0 && length != sizeof(fuse_out_header)))
        {
            throw new FuseChannelException($"the host answered with error {header->error} in {length} bytes");
        }

        return length;
    }

    /// <summary>Breaks the connection from another thread.</summary>
    public void Cut() => _connection.Abort();

    public void Dispose()
    {
        _connection.Dispose();
        _channel.Dispose();
    }
}
