using System.Text;
using Dpu.Link;
using Dpu.Linux;
using Dpu.Proto.V1;
using Dpu.Qtfs.Export;
using Dpu.Relay;
using Dpu.Relay.Descriptors;
using Microsoft.Win32.SafeHandles;
using PassedDescriptor = Dpu.Relay.Descriptors.PassedDescriptor;

namespace Dpu.HostAgent.Sockets;

/// <summary>Carries descriptors for one relay, at the host's end: connections are the DPU's to open, so that what is given waits for it under a token.</summary>
internal sealed class HostPassing(RelayHub hub, DialThreads workers, PassedTokens tokens, PassedFiles files, LinkConnection connection, RelayParameters asked, string path, ILogger logger)
    : DescriptorPassing(hub, workers, path, connection.Peer.Name, logger)
{
    private readonly string _session = SessionOf(connection);

    /// <summary>The session of a connection, with its peer's name, by which tokens are kept.</summary>
    public static string SessionOf(LinkConnection connection) => $"{Convert.ToHexString(connection.Hello.SessionId.Span)} {connection.Peer.Name}";

    protected override string Origin => _session;

    protected override InterfaceRight RightTo(string name, out string rule)
    {
        rule = $"\"interfaces\" of export '{files.ExportName}' in host-agent.json";
        return files.MayHave(name) switch
        {
            null => InterfaceRight.None,
            true => InterfaceRight.Create,
            false => InterfaceRight.Attach,
        };
    }

    protected override bool TryRefer(int descriptor, ref PassedDescriptor file, out string reason)
    {
        reason = "it is no file of an export that the DPU has mounted, or its name there leads elsewhere; export it, or pass a pipe";
        if (!files.TryFind(descriptor, out ulong mount, out byte[] path))
        {
            return false;
        }

        file = file with { Mount = mount, Name = path };
        return true;
    }

    protected override SafeFileHandle? TryOpen(PassedDescriptor file, out string reason)
    {
        reason = "";
        if (file.Node == 0)
        {
            reason = "the DPU names no node";
            return null;
        }

        int error = files.Open(file.Mount, file.Node, Descriptor.OpenFlags(file.Flags), asked, out SafeFileHandle? opened);
        if (error < 0)
        {
            reason = $"the export's policy or this kernel refuses to open it: {System.Runtime.InteropServices.Marshal.GetPInvokeErrorMessage(-error)}";
        }
        else if (file.Value > 0)
        {
            _ = LibC.lseek((int)opened!.DangerousGetHandle(), file.Value, unistd.SEEK_SET);
        }

        return opened;
    }

    protected override bool TryGive(SafeFileHandle end, ref PassedDescriptor what, out string reason)
    {
        reason = "";
        byte[] token = PassedTokens.Create();
        if (!tokens.TryAdd(_session, token, end, what.Kind, what.Flags))
        {
            reason = $"{PassedTokens.MostOfSession} descriptors wait for the DPU already, which is the most";
        }

        if (reason.Length > 0)
        {
            end.Dispose();
            return false;
        }

        what = what with { Name = token };
        return true;
    }

    protected override SafeFileHandle? TryTake(PassedDescriptor what, out string reason)
    {
        bool there = tokens.TryTake(_session, what.Name.Span, out System.Runtime.InteropServices.SafeHandle? handle, out _, out _);
        reason = there ? "" : "nothing waits here under the token that the DPU names, or no more";
        return there ? (SafeFileHandle)handle! : null;
    }
}
