using Dpu.Hosting.Configuration;
using Dpu.Linux;
using Dpu.Proto.V1;
using Dpu.Qtfs.Mount.Sockets;
using Dpu.Relay.Addresses;
using Dpu.Runtime.Hosts;

namespace Dpu.Runtime.Forwards;

/// <summary>One address that leads to the other machine, while it does. Thread-safe.</summary>
internal sealed class Forward : IDisposable
{
    private readonly ILogger _logger;
    private BoundAddress? _bound;
    private ISocketRelay? _relay;
    private IOfferedSocket? _offered;
    private string _problem = "";

    public Forward(long id, ForwardConfiguration definition, bool configured, ILogger logger) => (Id, Definition, Configured, _logger) = (id, definition, configured, logger);

    public long Id { get; }

    public ForwardConfiguration Definition { get; }

    public bool Configured { get; }

    private int Type => Definition.Type switch { "datagram" => sys_socket.SOCK_DGRAM, "seqpacket" => sys_socket.SOCK_SEQPACKET, _ => sys_socket.SOCK_STREAM };

    /// <summary>Begins; a negated errno where this machine cannot listen there.</summary>
    public int Start(ISocketRelays relays)
    {
        if (Definition.Reverse)
        {
            var listener = new HostListener { Address = Definition.HostAddress, Mode = Definition.Mode, Uid = Definition.Uid, Gid = Definition.Gid };
            string address = Definition.DpuAddress;
            int type = Type;
            _offered = relays.Offer(new OfferedHere(
                Definition.Host, address, () => 0, 0, type, 0, 0, 0,
                (uint uid, uint gid, out Microsoft.Win32.SafeHandles.SafeFileHandle? connected) => VisitorSocket.Connect(address, type, uid, gid, out connected))
            {
                Listener = listener,
                Told = Tell,
            });
            _offered.Listen();
            return 0;
        }

        int error = BoundAddress.TryBind(Definition.DpuAddress, Type, Definition.Mode, Definition.Uid, Definition.Gid, out _bound);
        if (_bound is null)
        {
            return error;
        }

        try
        {
            // The relay has a descriptor of its own: the file is removed with this one.
            var copy = new Microsoft.Win32.SafeHandles.SafeFileHandle(LibC.fcntl_int((int)_bound.Socket.DangerousGetHandle(), fcntl.F_DUPFD_CLOEXEC, 0), ownsHandle: true);
            _relay = relays.Serve(new RemoteSocket(Definition.Host, Definition.DpuAddress, () => 0, 0, Type) { Address = Definition.HostAddress }, copy);
            return 0;
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException)
        {
            // Expected: no descriptors are left, or the runtime is stopping.
            _bound.Dispose();
            return -errno.EMFILE;
        }
    }

    /// <summary>Nobody can connect any more; connections that there are go on.</summary>
    public void Dispose()
    {
        // First the file: who finds it is to find a listener.
        _bound?.Dispose();
        _relay?.StopListening();
        _offered?.End();
    }

    /// <summary>As <see cref="Dispose"/>, and the connections break off.</summary>
    public void BreakOff()
    {
        _bound?.Dispose();
        _relay?.BreakOff();
        _offered?.BreakOff();
    }

    public Dpu.Proto.V1.Forward ToMessage(HostLinks hosts) => new()
    {
        Name = ForwardTable.NameOf(Id),
        Host = "hosts/" + Definition.Host,
        DpuAddress = Definition.DpuAddress,
        HostAddress = Definition.HostAddress,
        Reverse = Definition.Reverse,
        Type = Definition.Type,
        Mode = Definition.Mode,
        Uid = Definition.Uid,
        Gid = Definition.Gid,
        Configured = Configured,
        Problem = hosts.Find(Definition.Host) is not { IsUp: true } ? "the link to the host is down" : Volatile.Read(ref _problem),
    };

    private void Tell(string problem)
    {
        if (Interlocked.Exchange(ref _problem, problem) != problem && problem.Length > 0)
        {
            Log.HostDoesNotListen(_logger, Definition.Host, Definition.HostAddress, problem);
        }
    }
}
