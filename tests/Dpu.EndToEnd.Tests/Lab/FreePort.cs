using System.Net;
using System.Net.Sockets;

namespace Dpu.EndToEnd.Tests.Lab;

/// <summary>Ports of the loopback interface that nobody listens on.</summary>
internal static class FreePort
{
    public static int Take()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }
}
