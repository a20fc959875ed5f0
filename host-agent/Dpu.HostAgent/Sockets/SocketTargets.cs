using System.Runtime.InteropServices;
using Dpu.Link;
using Dpu.Linux;
using Dpu.Proto.V1;
using Dpu.Qtfs.Export;
using Dpu.Relay;
using Dpu.Relay.Descriptors;
using Microsoft.Win32.SafeHandles;

namespace Dpu.HostAgent.Sockets;

/// <summary>
/// What DPUs may connect to: the sockets of their mounts that the exports' policy names, those that they have bound, and what programs have
/// passed through the relays of these.
/// </summary>
/// <param name="exports">The mounts and their policy.</param>
/// <param name="forwards">What is outside of exports.</param>
/// <param name="hub">The relays.</param>
/// <param name="time">The clock.</param>
/// <param name="logger">The log.</param>
public sealed class SocketTargets(ExportService exports, HostForwards forwards, RelayHub hub, TimeProvider time, ILogger<SocketTargets> logger) : IRelayTargets, IDisposable
{
    private readonly DialThreads _workers = new("passed descriptors");
    private readonly PassedTokens _tokens = new(time);
    private readonly PassedListeners _listeners = new();

    /// <inheritdoc/>
    public HelloReply Admit(LinkPeer peer, Hello hello)
    {
        ArgumentNullException.ThrowIfNull(hello);
        if (IsForward(hello))
        {
            return forwards.Admit(peer, hello.Relay);
        }

        return hello.Relay.TargetCase == RelayParameters.TargetOneofCase.Passed && hello.Relay.Passed.Token.Length != Dpu.Relay.Descriptors.PassedDescriptor.TokenSize
            ? new HelloReply { Status = HelloStatus.Malformed, Message = "a passed descriptor must be named by a token of 16 bytes" }
            : exports.AdmitSocket(peer, hello);
    }

    /// <inheritdoc/>
    public int Connect(LinkConnection connection, bool mayWait, out RelayTarget? target)
    {
        ArgumentNullException.ThrowIfNull(connection);
        target = null;
        if (IsForward(connection.Hello))
        {
            return forwards.Connect(connection, mayWait, out target);
        }

        if (!mayWait && connection.Hello.Relay.TargetCase != RelayParameters.TargetOneofCase.Node)
        {
            return -errno.EAGAIN;
        }

        if (exports.FilesOf(connection) is not { } files)
        {
            return -errno.ECONNREFUSED;
        }

        HostPassing passing = PassingOf(connection, files, connection.Hello.Relay, connection.Reply.Relay?.Path ?? "");
        if (connection.Hello.Relay.TargetCase == RelayParameters.TargetOneofCase.Passed)
        {
            return Join(connection, files, passing, out target);
        }

        int error = exports.ConnectSocket(connection, mayWait, out ServedSocket? socket);
        target = socket is null ? null : new RelayTarget(socket.Socket, socket.Speaker, socket.Join, socket.Leave) { Visitor = socket.Visitor, Passing = passing };
        return error;
    }

    /// <summary>What carries descriptors for a program of a peer.</summary>
    internal HostPassing PassingOf(LinkConnection connection, PassedFiles files, RelayParameters asked, string path) => new(hub, _workers, _tokens, files, connection, asked, path, logger);

    /// <inheritdoc/>
    public void Dispose()
    {
        _workers.Dispose();
        _tokens.Dispose();
    }

    private int Join(LinkConnection connection, PassedFiles files, HostPassing? passing, out RelayTarget? target)
    {
        target = null;
        Proto.V1.PassedDescriptor asked = connection.Hello.Relay.Passed;
        string session = HostPassing.SessionOf(connection);
        ReadOnlySpan<byte> token = asked.Token.Span;
        SafeHandle? end;
        (DescriptorKind kind, DescriptorFlags flags) = ((DescriptorKind)Math.Min(asked.Kind, byte.MaxValue), (DescriptorFlags)asked.Flags & DescriptorFlags.All);
        LocalEnd local = LocalEnd.Socket;
        SocketKind carries = Descriptor.KindOf(flags);
        if (kind == DescriptorKind.Listener && asked.Make)
        {
            int error = _listeners.MakeCopy(_tokens, session, token, flags, out end);
            if (error < 0)
            {
                return error;
            }

            (carries, passing) = (SocketKind.Stream, null);
        }
        else if (kind == DescriptorKind.Listener)
        {
            ucred client = files.SpeakerOf(connection.Hello.Relay);
            int error = _listeners.Connect(session, token, client.uid, client.gid, out end, out carries);
            if (error < 0)
            {
                return error;
            }
        }
        else if (asked.Make)
        {
            var what = new Dpu.Relay.Descriptors.PassedDescriptor(kind, flags) { Settings = asked.Settings.Memory };
            if (!Descriptor.TryMakePair(what, out SafeFileHandle? program, out SafeFileHandle? relays))
            {
                return -errno.EOPNOTSUPP;
            }

            relays = hub.TryAttach(relays!, what, isTwin: true, session, token, out _);
            if (relays is null || !_tokens.TryAdd(session, token, program!, kind, flags))
            {
                program!.Dispose();
                relays?.Dispose();
                return -errno.ENOBUFS;
            }

            (end, local) = (relays, Descriptor.OppositeOf(kind));
        }
        else if (_tokens.TryTake(session, token, out end, out kind, out flags))
        {
            (local, carries) = (Descriptor.EndOf(kind), Descriptor.KindOf(flags));
            if (kind == DescriptorKind.Listener)
            {
                int error = _listeners.Serve(_tokens, session, end!, files, flags, out end);
                if (error < 0)
                {
                    return error;
                }

                (local, carries, passing) = (LocalEnd.Socket, SocketKind.Stream, null);
            }
            else
            {
                end = hub.TryAttach((SafeFileHandle)end!, new Dpu.Relay.Descriptors.PassedDescriptor(kind, flags), isTwin: false, session, token, out string reason);
                if (end is null)
                {
                    Log.NotAttached(logger, kind.ToString(), connection.Peer.Name, reason);
                    return -errno.ENOBUFS;
                }
            }
        }
        else
        {
            return -errno.ENOENT;
        }

        if (kind is DescriptorKind.Counter or DescriptorKind.Terminal or DescriptorKind.TerminalMaster)
        {
            passing = null;
        }

        target = new RelayTarget(end!, files.SpeakerOf(connection.Hello.Relay), files.TryJoin, files.Leave)
        {
            Passing = passing,
            End = local,
            Kind = carries,
        };
        return 0;
    }

    private static bool IsForward(Hello hello) => hello.Relay.TargetCase is RelayParameters.TargetOneofCase.Address or RelayParameters.TargetOneofCase.Listener;
}
