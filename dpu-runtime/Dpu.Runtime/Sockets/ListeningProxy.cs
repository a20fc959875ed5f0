using Dpu.Qtfs.Mount.Sockets;
using Dpu.Relay;
using Microsoft.Win32.SafeHandles;

namespace Dpu.Runtime.Sockets;

/// <summary>A socket of a host that listens, and this machine's own on its inode.</summary>
internal sealed class ListeningProxy : ISocketRelay
{
    private readonly RelaySet _relays = new();
    private readonly IDisposable _listening;

    public ListeningProxy(SocketRelays owner, RelayHub hub, RemoteSocket socket, SafeFileHandle listener) =>
        _listening = hub.Listen(listener, accepted => owner.Connect(socket, accepted, _relays));

    public void StopListening() => _listening.Dispose();

    public void BreakOff()
    {
        StopListening();
        _relays.BreakOff();
    }
}
