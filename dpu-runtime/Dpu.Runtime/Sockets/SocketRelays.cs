using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using Dpu.Hosting.Configuration;
using Dpu.Link;
using Dpu.Linux;
using Dpu.Proto.V1;
using Dpu.Qtfs.Mount.Fifos;
using Dpu.Qtfs.Mount.Sockets;
using Dpu.Relay;
using Dpu.Runtime.Hosts;
using Google.Protobuf;
using Microsoft.Win32.SafeHandles;

namespace Dpu.Runtime.Sockets;

/// <summary>Carries connections of programs here to the hosts' sockets, and of the hosts' programs to sockets here. Thread-safe.</summary>
/// <param name="hub">Moves the bytes.</param>
/// <param name="hosts">The links.</param>
/// <param name="logger">The log.</param>
/// <param name="files">The files that programs pass.</param>
public sealed class SocketRelays(RelayHub hub, HostLinks hosts, ILogger<SocketRelays> logger, MountedFiles files) : ISocketRelays, IDisposable
{
    // As many as wait to be accepted at once; the system's own limit is lower by default (net.core.somaxconn).
    private const int Backlog = 4096;

    private readonly DialThreads _dials = new("socket dial");

    // Of their own: programs here that do not accept hold them up, as those of hosts do the others.
    private readonly DialThreads _visitors = new("visitor dial");

    private readonly RelayRedials _redials = new(hosts);

    // Tells hosts that what an earlier runtime has lost does not come back; never 0.
    private readonly ulong _process = BitConverter.ToUInt64(RandomNumberGenerator.GetBytes(sizeof(ulong))) | 1;
    // What programs pass: each is a connection of its own, and files are opened and closed through mounts.
    private readonly DialThreads _passed = new("passed descriptors");

    // Listening sockets that programs have passed: each has a thread.
    private const int MostListeners = 256;
    private int _listeners;

    internal ILogger Logger => logger;

    /// <inheritdoc/>
    public ISocketRelay Serve(RemoteSocket socket, SafeFileHandle bound)
    {
        ArgumentNullException.ThrowIfNull(socket);
        if (socket.Type == sys_socket.SOCK_DGRAM)
        {
            return new DatagramProxy(this, socket, bound);
        }

        return sys_socket.listen(bound, Backlog) < 0
            ? throw new IOException($"listen: {Marshal.GetPInvokeErrorMessage(Marshal.GetLastPInvokeError())}")
            : new ListeningProxy(this, hub, socket, bound);
    }

    /// <inheritdoc/>
    public IOfferedSocket Offer(OfferedHere socket) => new OfferedSocket(this, hub, hosts, socket);

    /// <inheritdoc/>
    public IAskedFifo Ask(RemoteFifo fifo) => new AskedFifo(this, hub, hosts, fifo);

    /// <inheritdoc/>
    public void Dispose()
    {
        _dials.Dispose();
        _visitors.Dispose();
        _redials.Dispose();
        _passed.Dispose();
    }

    /// <summary>Asks that a relay outlive its connection, as the configuration says for that host.</summary>
    internal RelayContinuity Want(RelayParameters parameters, HostLink link)
    {
        TimeSpan within = ResumeWithin(link);
        var token = Guid.NewGuid();
        parameters.ResumeWithinMs = (uint)within.TotalMilliseconds;
        parameters.Process = _process;
        parameters.ResumeToken = ByteString.CopyFrom(token.ToByteArray());
        return new RelayContinuity(token, within, lost => _redials.Begin(link.HostName, lost));
    }

    /// <summary>Takes up a relay that the host may have begun while the link broke; blocks. Null where it has not.</summary>
    internal LinkConnection? TakeUp(string host, RelayContinuity wanted) => wanted.Within > TimeSpan.Zero ? _redials.TakeUp(host, wanted) : null;

    private static TimeSpan ResumeWithin(HostLink link) => link.Configuration.ResumeWithin ?? HostConfiguration.DefaultResumeWithin;

    /// <summary>How a relay by a connection outlives it; null where it does not.</summary>
    internal RelayContinuity? ContinuityOf(LinkConnection connection, string host) => RelayContinuity.Of(connection, lost => _redials.Begin(host, lost));

    /// <summary>What carries the descriptors that programs pass on a connection.</summary>
    internal RuntimePassing PassingOf(string host, Func<ulong> mountId, PeerCredentials program, string path, RelaySet relays) =>
        new(this, hub, _passed, hosts, files, relays, host, mountId, program, path, logger);

    /// <summary>Counts a listening socket that a program has passed, until <see cref="LetListenerGo"/>; false where there are too many.</summary>
    internal bool TryHoldListener() => Interlocked.Increment(ref _listeners) <= MostListeners;

    /// <summary>It is over, or was one too many.</summary>
    internal void LetListenerGo() => Interlocked.Decrement(ref _listeners);

    /// <summary>Has something done soon for a program of a host, on another thread; it must not throw.</summary>
    internal void RunForHost(Action work) => _visitors.Run(work);

    /// <summary>Has a connection that was accepted joined with the host's socket. Does not block.</summary>
    internal void Connect(RemoteSocket socket, SafeHandle accepted, RelaySet relays)
    {
        if (PeerCredentials.Read(accepted) is not { } program)
        {
            accepted.Dispose();
        }
        else if (!TryAsk(socket, program, accepted, relays))
        {
            Dial(socket, program, accepted, relays, null);
        }
    }

    // On a connection of the link that another relay has left, which takes no thread here. False where there is none.
    private bool TryAsk(RemoteSocket socket, PeerCredentials program, SafeHandle accepted, RelaySet relays)
    {
        if (hosts.Find(socket.Host) is not { } link || ResumeWithin(link) == TimeSpan.Zero || link.TakeSpare() is not { } spare)
        {
            return false;
        }

        RelayParameters asked = Asked(socket, program);
        RelayContinuity wanted = Want(asked, link);
        try
        {
            hub.Ask(spare, asked, answer => Take(answer, link, wanted, socket, program, accepted, relays));
        }
        catch (ObjectDisposedException)
        {
            // Expected: the runtime is stopping.
            spare.Dispose();
            accepted.Dispose();
        }

        return true;
    }

    // On a loop's thread.
    private void Take(NextRelay answer, HostLink link, RelayContinuity wanted, RemoteSocket socket, PeerCredentials program, SafeHandle accepted, RelaySet relays)
    {
        if (answer.Failure is IOException or LinkException { Status: null })
        {
            // It had died, which could not be seen; the host may have begun all the same.
            Dial(socket, program, accepted, relays, wanted);
            return;
        }

        string reason = answer.Failure?.Message ?? Refusal(answer.Error);
        if (answer.Connection is { } connection)
        {
            try
            {
                _ = Start(socket, program, accepted, relays, null, link, connection, ContinuityOf(connection, link.HostName));
                return;
            }
            catch (Exception e) when (e is IOException or ObjectDisposedException)
            {
                // Expected: the runtime is stopping, or has no descriptors left.
                connection.Dispose();
                reason = e.Message;
            }
        }

        Log.NotConnected(logger, socket.Target, program.Pid, program.Uid, socket.Host, reason);
        accepted.Dispose();
    }

    private void Dial(RemoteSocket socket, PeerCredentials program, SafeHandle accepted, RelaySet relays, RelayContinuity? begun) => _dials.Run(() =>
    {
        if (TryJoin(socket, program, accepted, relays, null, begun) is null)
        {
            accepted.Dispose();
        }
    });

    private IDisposable Start(
        RemoteSocket socket, PeerCredentials program, SafeHandle local, RelaySet relays, Action? ended, HostLink link, LinkConnection connection, RelayContinuity? continuity)
    {
        string path = Printable.Clean(socket.Address is null ? $"{socket.Target}/{connection.Reply.Relay?.Path}" : socket.Target, limits.PATH_MAX);
        var info = new RelayInfo(socket.Host, path, (SocketKind)socket.Type, program.Uid, program.Gid, program.Pid);
        RuntimePassing? passing = socket.Address is null ? PassingOf(socket.Host, socket.MountId, program, path, relays) : null;
        return relays.Start(hub, local, connection, info, ended, continuity, passing: passing, spare: link.Spares.Put);
    }

    private static string Refusal(int error) => $"the host's kernel refused: {Marshal.GetPInvokeErrorMessage(-error)}";

    /// <summary>Joins a local socket with the host's, for a program; blocks. Null where it could not be, which is said; the socket is then the caller's still.</summary>
    /// <param name="socket">The host's.</param>
    /// <param name="program">Whom it is for.</param>
    /// <param name="local">The local one.</param>
    /// <param name="relays">What it ends with.</param>
    /// <param name="ended">Told of its end.</param>
    /// <param name="begun">A relay that was asked for before, and that the host may have begun.</param>
    internal IDisposable? TryJoin(RemoteSocket socket, PeerCredentials program, SafeHandle local, RelaySet relays, Action? ended, RelayContinuity? begun = null)
    {
        long since = Stopwatch.GetTimestamp();
        string reason;
        while (true)
        {
            TimeSpan within = TimeSpan.Zero;
            try
            {
                HostLink link = hosts.Find(socket.Host) ?? throw new LinkException(LinkError.Unreachable, $"the configuration names no host '{socket.Host}' any more");
                within = ResumeWithin(link);
                RelayContinuity? continuity = begun;
                LinkConnection? connection = begun is null ? null : TakeUp(link.HostName, begun);
                begun = null;
                int error = connection is null ? Open(link, Asked(socket, program), out connection, out continuity) : 0;
                if (connection is not null)
                {
                    return Start(socket, program, local, relays, ended, link, connection, continuity);
                }

                reason = Refusal(error);
                break;
            }
            catch (Exception e) when (e is LinkException or IOException or ObjectDisposedException or OperationCanceledException)
            {
                // Expected: the host is away, or refuses. What broke while it was opened may be opened again; the program knows of nothing yet.
                reason = e.Message;
                if (e is ObjectDisposedException or OperationCanceledException or LinkException { Status: not null }
                    || Stopwatch.GetElapsedTime(since) >= within || !_redials.Pause())
                {
                    break;
                }
            }
        }

        Log.NotConnected(logger, socket.Target, program.Pid, program.Uid, socket.Host, reason);
        return null;
    }

    private static RelayParameters Asked(RemoteSocket socket, PeerCredentials program)
    {
        var parameters = new RelayParameters { Type = (UnixSocketType)socket.Type, Uid = program.Uid, Gid = program.Gid, Pid = program.Pid, Reuses = true };
        parameters.Groups.AddRange(program.Groups);
        if (socket.Address is { } address)
        {
            parameters.Address = address;
        }
        else
        {
            parameters.Node = new SocketNode { MountId = socket.MountId(), Node = socket.Node };
        }

        return parameters;
    }

    /// <summary>Opens a relay to a socket of the host; blocks. What the host has begun while the link broke is taken up.</summary>
    /// <returns>0 with a connection, or a negated errno of the host's kernel.</returns>
    /// <exception cref="LinkException">The host refuses, or is away.</exception>
    /// <exception cref="IOException">The link broke.</exception>
    private int Open(HostLink link, RelayParameters parameters, out LinkConnection? connection, out RelayContinuity? continuity)
    {
        RelayContinuity wanted = Want(parameters, link);
        LinkConnection? dialled = null;
        try
        {
            dialled = link.DialRelay(parameters);
            int error = RelayDialer.AwaitOpened(dialled);
            connection = error == 0 ? dialled : null;
            continuity = ContinuityOf(dialled, link.HostName);
            if (error != 0)
            {
                dialled.Dispose();
            }

            return error;
        }
        catch (Exception e) when (e is IOException or LinkException { Status: null } && wanted.Within > TimeSpan.Zero)
        {
            dialled?.Dispose();
            connection = _redials.TakeUp(link.HostName, wanted) ?? throw new IOException(e.Message, e);
            continuity = wanted;
            return 0;
        }
        catch
        {
            dialled?.Dispose();
            throw;
        }
    }
}
