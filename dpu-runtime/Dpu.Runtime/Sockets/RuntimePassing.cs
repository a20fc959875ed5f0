using System.Runtime.InteropServices;
using Dpu.Link;
using Dpu.Linux;
using Dpu.Proto.V1;
using Dpu.Relay;
using Dpu.Relay.Descriptors;
using Dpu.Runtime.Hosts;
using Google.Protobuf;
using Microsoft.Win32.SafeHandles;
using PassedDescriptor = Dpu.Relay.Descriptors.PassedDescriptor;

namespace Dpu.Runtime.Sockets;

/// <summary>Carries descriptors for one relay, at the DPU's end, which opens the connections that they need. Its own threads wait for the host.</summary>
internal sealed partial class RuntimePassing(
    SocketRelays owner, RelayHub hub, DialThreads workers, HostLinks hosts, MountedFiles files, RelaySet relays, string host, Func<ulong> mountId, PeerCredentials program, string path, ILogger logger)
    : DescriptorPassing(hub, workers, path, host, logger)
{
    private readonly RelayHub _hub = hub;
    private readonly string _path = path;
    private readonly string _host = host;

    protected override string Origin => _host;

    protected override InterfaceRight RightTo(string name, out string rule)
    {
        rule = $"\"interfaces\" of host '{_host}' in runtime.json";
        return hosts.Find(_host)?.Configuration.Interfaces.Find(name) switch
        {
            null => InterfaceRight.None,
            true => InterfaceRight.Create,
            false => InterfaceRight.Attach,
        };
    }

    protected override bool TryRefer(int descriptor, ref PassedDescriptor file, out string reason)
    {
        reason = $"it is no file of a mount of '{_host}'; put it there, or pass a pipe";
        return files.TryRefer(_host, descriptor, ref file);
    }

    protected override SafeFileHandle? TryOpen(PassedDescriptor file, out string reason)
    {
        reason = "the host names no path";
        return file.Node != 0 ? null : files.TryOpen(_host, file, out reason);
    }

    protected override bool TryGive(SafeFileHandle end, ref PassedDescriptor what, out string reason)
    {
        byte[] token = PassedTokens.Create();
        if (what.Kind == DescriptorKind.Listener)
        {
            return TryGiveListener(end, ref what, token, out reason);
        }

        if (!TryJoin(end, what, token, make: true, Descriptor.EndOf(what.Kind), out reason))
        {
            return false;
        }

        // What a terminal is set to the host knows by now.
        what = what with { Name = token, Value = 0, Settings = default };
        return true;
    }

    protected override SafeFileHandle? TryTake(PassedDescriptor what, out string reason)
    {
        if (what.Kind == DescriptorKind.Listener)
        {
            return TryTakeListener(what, out reason);
        }

        if (!Descriptor.TryMakePair(what, out SafeFileHandle? programs, out SafeFileHandle? end))
        {
            reason = "this runtime does not know the kind, or has no descriptors left";
            return null;
        }

        if (TryJoin(end!, what, what.Name.ToArray(), make: false, Descriptor.OppositeOf(what.Kind), out reason, isTwin: true))
        {
            return programs;
        }

        programs!.Dispose();
        return null;
    }

    private bool TryJoin(SafeFileHandle end, PassedDescriptor what, byte[] token, bool make, LocalEnd local, out string reason, bool isTwin = false)
    {
        LinkConnection? connection = null;
        bool started = false;
        bool isListener = what.Kind == DescriptorKind.Listener;
        bool isAttached = what.Kind == DescriptorKind.Counter || what.IsTerminal;
        SafeFileHandle? relayed = null;
        try
        {
            connection = Dial(new Proto.V1.PassedDescriptor { MountId = mountId(), Token = ByteString.CopyFrom(token), Make = make, Kind = make ? (uint)what.Kind : 0, Flags = (uint)what.Flags, Settings = make ? ByteString.CopyFrom(what.Settings.Span) : ByteString.Empty }, what.Flags, program);
            int error = RelayDialer.AwaitOpened(connection);
            reason = error < 0 ? $"the host refused: {Marshal.GetPInvokeErrorMessage(-error)}" : "";
            if (error < 0)
            {
                return false;
            }

            relayed = isListener ? end : _hub.TryAttach(end, what, isTwin, _host, token, out reason);
            if (relayed is null)
            {
                return false;
            }

            var info = new RelayInfo(_host, $"{_path} ({what.Kind})", isListener ? SocketKind.Stream : Descriptor.KindOf(what.Flags), program.Uid, program.Gid, program.Pid) { End = local };
            _ = relays.Start(_hub, relayed, connection, info, null, owner.ContinuityOf(connection, _host), passing: isListener || isAttached ? null : this);
            started = true;
            return true;
        }
        catch (LinkException e)
        {
            // Expected: the link is down, or the host refuses.
            reason = e.Message;
            return false;
        }
        finally
        {
            if (!started)
            {
                (relayed ?? end).Dispose();
                connection?.Dispose();
            }
        }
    }

    private LinkConnection Dial(Proto.V1.PassedDescriptor passed, DescriptorFlags flags, PeerCredentials whose)
    {
        HostLink link = hosts.Find(_host) ?? throw new LinkException(LinkError.Unreachable, $"the configuration names no host '{_host}' any more");
        var parameters = new RelayParameters
        {
            Type = (UnixSocketType)Descriptor.KindOf(flags),
            Uid = whose.Uid,
            Gid = whose.Gid,
            Pid = whose.Pid,
            Passed = passed,
        };
        parameters.Groups.AddRange(whose.Groups);
        _ = owner.Want(parameters, link);
        return link.DialRelay(parameters);
    }
}
