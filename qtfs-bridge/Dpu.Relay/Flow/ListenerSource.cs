using System.Runtime.InteropServices;
using Dpu.Linux;
using Microsoft.Win32.SafeHandles;

namespace Dpu.Relay.Flow;

/// <summary>A listening socket, on a loop's thread.</summary>
internal sealed unsafe class ListenerSource(SafeHandle listener, Action<SafeHandle> accepted) : ILoopSource, IDisposable
{
    // Connections taken before others have their turn; the rest stays in the kernel's queue.
    private const int Budget = 64;

    private RelayLoop? _loop;
    private uint _slot;
    private volatile bool _ended;

    public void Enter(RelayLoop loop, uint slot)
    {
        (_slot, _loop) = (slot, loop);

        // Level-triggered: a connection for which there was no descriptor is tried again.
        if (_ended || LibC.SetNonBlocking((int)listener.DangerousGetHandle()) < 0 || loop.Watch((int)listener.DangerousGetHandle(), epoll.EPOLLIN, slot, 0) < 0)
        {
            loop.Remove(this, slot);
        }
    }

    public void Ready(uint events, uint side)
    {
        // Work accepts.
    }

    public bool Work(byte* scratch)
    {
        for (int i = 0; i < Budget && !_ended; i++)
        {
            int connection = sys_socket.accept4(listener, null, null, sys_socket.SOCK_CLOEXEC);
            if (connection < 0)
            {
                return false;
            }

            accepted(new SafeFileHandle(connection, ownsHandle: true));
        }

        return false;
    }

    public void Leave()
    {
        _ended = true;
        listener.Dispose();
    }

    public void Dispose()
    {
        _ended = true;
        try
        {
            // At once: who connects when this has returned must be refused.
            _ = sys_socket.shutdown(listener, sys_socket.SHUT_RDWR);
        }
        catch (ObjectDisposedException)
        {
            // Expected: it has ended with its loop.
            return;
        }

        _loop?.Post(() => _loop.Remove(this, _slot));
    }
}
