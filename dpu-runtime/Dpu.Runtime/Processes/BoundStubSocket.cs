using System.Runtime.InteropServices;
using Dpu.Linux;
using Dpu.Relay;
using Dpu.Relay.Addresses;
using Microsoft.Win32.SafeHandles;

namespace Dpu.Runtime.Processes;

/// <summary>Where stubs connect. Anybody may: who it is the kernel says, and what that one may have run is the host's to say.</summary>
internal sealed class BoundStubSocket : IDisposable
{
    private const uint Mode = 0x1b6; // 0666
    private const int Backlog = 4096;

    private readonly BoundAddress _bound;
    private readonly IDisposable _listening;

    private BoundStubSocket(string path, BoundAddress bound, IDisposable listening) => (Path, _bound, _listening) = (path, bound, listening);

    public string Path { get; }

    public static BoundStubSocket? TryMake(string path, RelayHub hub, Action<SafeHandle> accepted, out string reason)
    {
        reason = "";
        try
        {
            _ = Directory.CreateDirectory(System.IO.Path.GetDirectoryName(path)!);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            reason = e.Message;
            return null;
        }

        int error = BoundAddress.TryBind(path, sys_socket.SOCK_STREAM, Mode, LibC.geteuid(), LibC.getegid(), out BoundAddress? bound);
        if (bound is null || sys_socket.listen(bound.Socket, Backlog) < 0)
        {
            bound?.Dispose();
            reason = Marshal.GetPInvokeErrorMessage(error < 0 ? -error : Marshal.GetLastPInvokeError());
            return null;
        }

        // The hub has a descriptor of its own: the file is removed with this one.
        var copy = new SafeFileHandle(LibC.fcntl_int((int)bound.Socket.DangerousGetHandle(), fcntl.F_DUPFD_CLOEXEC, 0), ownsHandle: true);
        return new BoundStubSocket(path, bound, hub.Listen(copy, accepted));
    }

    public void Dispose()
    {
        _bound.Dispose();
        _listening.Dispose();
    }
}
