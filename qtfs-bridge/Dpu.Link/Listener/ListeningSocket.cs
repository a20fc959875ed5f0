using System.Net;
using System.Net.Sockets;
using Dpu.Link.Sockets;
using Dpu.Linux;

namespace Dpu.Link.Listener;

/// <summary>One bound and listening socket.</summary>
internal sealed class ListeningSocket : IDisposable
{
    // A vsock listener is not woken by shutdown(2) (af_vsock.c: ENOTCONN), so its accept looks up this often.
    private static readonly TimeSpan VsockPoll = TimeSpan.FromMilliseconds(250);
    private const int Backlog = 128;
    private readonly UnixSocketFile? _file;

    private ListeningSocket(SafeSocketHandle handle, LinkEndpoint bound, UnixSocketFile? file)
    {
        Handle = handle;
        Bound = bound;
        _file = file;
    }

    internal SafeSocketHandle Handle { get; }

    /// <summary>The endpoint with the port that the kernel chose.</summary>
    internal LinkEndpoint Bound { get; }

    /// <exception cref="LinkException">The address is taken, not ours, or not allowed.</exception>
    internal static ListeningSocket Open(LinkEndpoint endpoint, UnixFileMode unixMode)
    {
        SafeSocketHandle? handle = null;
        UnixSocketFile? file = null;
        try
        {
            if (endpoint.Transport == LinkTransport.Unix)
            {
                Check(NativeSocket.Open(sys_socket.AF_UNIX, out handle), endpoint);
                file = UnixSocketFile.Bind(handle!, endpoint.Host, unixMode);
            }
            else
            {
                var address = Address(endpoint);
                Check(NativeSocket.Open(SocketAddresses.Family(address), out handle), endpoint);

                // Without it a restarted agent waits a minute for its own old connections (tcp(7), TIME_WAIT).
                Check(NativeSocket.SetOption(handle!, sys_socket.SOL_SOCKET, sys_socket.SO_REUSEADDR, 1), endpoint);
                Check(NativeSocket.Bind(handle!, address), endpoint);
            }

            if (endpoint.Transport == LinkTransport.Vsock)
            {
                NativeSocket.SetTimeout(handle!, sys_socket.SO_RCVTIMEO, VsockPoll);
            }

            Check(NativeSocket.Listen(handle!, Backlog), endpoint);
            var port = endpoint.Transport == LinkTransport.Unix ? 0 : NativeSocket.BoundPort(handle!);
            return new ListeningSocket(handle!, endpoint.WithPort(port), file);
        }
        catch (Exception e)
        {
            handle?.Dispose();
            file?.Dispose();
            if (e is IOException or UnauthorizedAccessException or SocketException)
            {
                throw new LinkException(LinkError.Unreachable, e is IOException ? e.Message : $"Cannot listen on {endpoint}: {e.Message}", inner: e);
            }

            throw;
        }
    }

    /// <summary>Wakes the thread in accept; the next accept fails.</summary>
    internal void ShutDown() => NativeSocket.ShutDown(Handle);

    public void Dispose()
    {
        // The file first: who then finds it gone knows that nobody listens.
        _file?.Dispose();
        Handle.Dispose();
    }

    private static byte[] Address(LinkEndpoint endpoint)
    {
        if (endpoint.Transport == LinkTransport.Vsock)
        {
            return SocketAddresses.Of(endpoint);
        }

        if (!IPAddress.TryParse(endpoint.Host, out var address))
        {
            var found = Dns.GetHostAddresses(endpoint.Host);
            address = found.Length > 0 ? found[0] : throw new LinkException(LinkError.Unreachable, $"Cannot listen on {endpoint}: the name has no address.");
        }

        return SocketAddresses.Of(new IPEndPoint(address, (int)endpoint.Port));
    }

    private static void Check(int error, LinkEndpoint endpoint)
    {
        if (error != 0)
        {
            throw new LinkException(LinkError.Unreachable, $"Cannot listen on {endpoint}: {NativeSocket.Describe(error)}"
                + (error == errno.EADDRINUSE ? " - stop the program that listens there, or choose another port."
                    : error == errno.EADDRNOTAVAIL ? " - it is no address of this machine."
                    : error == errno.EAFNOSUPPORT ? " - this kernel lacks that address family (vsock: modprobe vsock)."
                    : "."));
        }
    }
}
