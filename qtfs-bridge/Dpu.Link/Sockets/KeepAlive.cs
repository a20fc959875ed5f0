using System.Net.Sockets;
using Dpu.Linux;

namespace Dpu.Link.Sockets;

/// <summary>
/// Makes TCP notice a dead peer in bounded time: keep-alive probes when nothing is sent, TCP_USER_TIMEOUT when sent
/// data is not acknowledged (tcp(7); it also overrides the probes' count). No delay for small messages.
/// </summary>
internal static class KeepAlive
{
    /// <summary>A third of the limit idle, then probes each sixth of it: the last one is due within the limit.</summary>
    internal static void Apply(SafeSocketHandle socket, TimeSpan deadPeerAfter)
    {
        var seconds = Math.Max(1, (int)(deadPeerAfter.TotalSeconds / 3));
        var interval = Math.Max(1, (int)(deadPeerAfter.TotalSeconds / 6));
        Set(socket, sys_socket.SOL_SOCKET, sys_socket.SO_KEEPALIVE, 1);
        Set(socket, netinet_in.IPPROTO_TCP, netinet_tcp.TCP_NODELAY, 1);
        Set(socket, netinet_in.IPPROTO_TCP, netinet_tcp.TCP_KEEPIDLE, seconds);
        Set(socket, netinet_in.IPPROTO_TCP, netinet_tcp.TCP_KEEPINTVL, interval);
        Set(socket, netinet_in.IPPROTO_TCP, netinet_tcp.TCP_KEEPCNT, 3);
        Set(socket, netinet_in.IPPROTO_TCP, netinet_tcp.TCP_USER_TIMEOUT, (int)deadPeerAfter.TotalMilliseconds);
    }

    private static void Set(SafeSocketHandle socket, int level, int option, int value)
    {
        var error = NativeSocket.SetOption(socket, level, option, value);
        if (error != 0)
        {
            throw new SocketException(error, $"Setting option {option} of level {level} to {value} failed: {NativeSocket.Describe(error)}.");
        }
    }
}
