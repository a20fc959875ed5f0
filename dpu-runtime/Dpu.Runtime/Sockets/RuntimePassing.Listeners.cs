using System.Runtime.InteropServices;
using Dpu.Fuse;
using Dpu.Link;
using Dpu.Linux;
using Dpu.Relay;
using Dpu.Relay.Descriptors;
using Google.Protobuf;
using Microsoft.Win32.SafeHandles;
using PassedDescriptor = Dpu.Relay.Descriptors.PassedDescriptor;

namespace Dpu.Runtime.Sockets;

// Listening sockets: who has the original accepts for the copy, one connection at a time, and each is relayed. A thread of its own waits with each socket.
internal sealed partial class RuntimePassing
{
    private static readonly TimeSpan RetryPause = TimeSpan.FromMilliseconds(100);

    // A program of the host that waits does so until the copy here is closed.
    private static readonly TimeSpan QueueLimit = TimeSpan.MaxValue;

    private bool TryGiveListener(SafeFileHandle listener, ref PassedDescriptor what, byte[] token, out string reason)
    {
        reason = "there are no descriptors left";
        SafeFileHandle? end = null;
        ListenerControl? control = owner.TryHoldListener() ? ListenerControl.TryMake(out end) : null;
        PassedDescriptor asked = what;
        if (control is null || !TryJoinListener(end!, what, token, make: true, out reason))
        {
            listener.Dispose();
            control?.Dispose();
            owner.LetListenerGo();
            return false;
        }

        Run(() =>
        {
            using (listener)
            using (control)
            {
                while (control.Accept(listener, out SafeFileHandle? accepted) == 0)
                {
                    if (PeerCredentials.Read(accepted!) is not { } client || !TryForward(accepted!, client, asked, token, control))
                    {
                        accepted!.Dispose();
                    }
                }
            }
        });
        what = what with { Name = token, Value = 0 };
        return true;
    }

    private SafeFileHandle? TryTakeListener(PassedDescriptor what, out string reason)
    {
        reason = "there are no descriptors left";
        SafeFileHandle? end = null;
        SafeFileHandle? programs = null;
        ListenerControl? control = owner.TryHoldListener() ? ListenerControl.TryMake(out end) : null;
        ListenerCopy? copy = control is null ? null : ListenerCopy.TryMake(what.Flags, control, out programs, out reason);
        if (copy is null)
        {
            end?.Dispose();
        }

        if (copy is null || !TryJoinListener(end!, what, what.Name.ToArray(), make: false, out reason))
        {
            copy?.Dispose();
            control?.Dispose();
            programs?.Dispose();
            owner.LetListenerGo();
            return null;
        }

        Run(() =>
        {
            using (copy)
            {
                byte[] notice = new byte[ListenerNotice.Size];
                while (!copy.IsClosed && copy.Control.TryWrite([1]) && copy.Await() && copy.Control.TryRead(notice))
                {
                    Fetch(ListenerNotice.Read(notice), what.Flags, copy);
                }
            }
        });
        return programs;
    }

    private bool TryJoinListener(SafeFileHandle end, PassedDescriptor what, byte[] token, bool make, out string reason)
    {
        try
        {
            return TryJoin(end, what, token, make, LocalEnd.Socket, out reason);
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException or OperationCanceledException)
        {
            // Expected: the link broke, or this runtime is stopping.
            reason = e.Message;
            return false;
        }
    }

    private void Run(Action work)
    {
        void Whole()
        {
            try
            {
                work();
            }
            finally
            {
                owner.LetListenerGo();
            }
        }

        new Thread(Whole, 256 * 1024) { IsBackground = true, Name = "passed listener" }.Start();
    }

    // A program here has connected to a socket whose copy the host has.
    private bool TryForward(SafeFileHandle accepted, PeerCredentials client, PassedDescriptor what, byte[] token, ListenerControl control)
    {
        var passed = new Proto.V1.PassedDescriptor { MountId = mountId(), Token = ByteString.CopyFrom(token), Kind = (uint)DescriptorKind.Listener, Flags = (uint)what.Flags };
        LinkConnection? connection = Open(passed, what.Flags, client, control, out string reason);
        if (connection is null || !TryStart(accepted, connection, what.Flags, client, speaker: null, out reason))
        {
            Log.NotConnected(owner.Logger, _path, client.Pid, client.Uid, _host, reason);
            return false;
        }

        return true;
    }

    // A program of the host has connected to a socket whose copy is here.
    private void Fetch(ListenerNotice notice, DescriptorFlags flags, ListenerCopy copy)
    {
        var passed = new Proto.V1.PassedDescriptor { MountId = mountId(), Token = ByteString.CopyFrom(notice.Token.Span), Flags = (uint)flags };
        if (Open(passed, flags, program, copy.Control, out _) is not { } connection)
        {
            Log.NotAccepted(owner.Logger, _path, program.Pid, _host, errno.ECONNABORTED);
            return;
        }

        // Root there is not root here.
        (uint uid, uint gid) = (notice.Uid == 0 ? IdentityPolicy.Nobody : notice.Uid, notice.Gid == 0 ? IdentityPolicy.Nobody : notice.Gid);
        int error = copy.Connect(uid, gid, QueueLimit, out SafeFileHandle? local);
        if (local is null)
        {
            connection.Dispose();
            Log.NotAccepted(owner.Logger, _path, program.Pid, _host, -error);
            return;
        }

        if (!TryStart(local, connection, flags, new PeerCredentials(program.Pid, uid, gid, []), new ucred { pid = Environment.ProcessId, uid = uid, gid = gid }, out _))
        {
            local.Dispose();
        }
    }

    // Null where the host refuses, or one side has the socket no more. A link that is away is waited for, as programs here wait.
    private LinkConnection? Open(Proto.V1.PassedDescriptor passed, DescriptorFlags flags, PeerCredentials whose, ListenerControl control, out string reason)
    {
        do
        {
            LinkConnection? connection = null;
            try
            {
                connection = Dial(passed, flags, whose);
                int error = RelayDialer.AwaitOpened(connection);
                reason = error < 0 ? $"the host refused: {Marshal.GetPInvokeErrorMessage(-error)}" : "";
                if (error == 0)
                {
                    return connection;
                }

                connection.Dispose();
                if (error != -errno.EAGAIN)
                {
                    return null;
                }
            }
            catch (Exception e) when (e is LinkException or IOException or ObjectDisposedException or OperationCanceledException)
            {
                // Expected: the link is away, or the host refuses, or this runtime is stopping.
                connection?.Dispose();
                reason = e.Message;
                if (e is LinkException { Status: not null } or ObjectDisposedException or OperationCanceledException)
                {
                    return null;
                }
            }
        }
        while (!control.Pause(RetryPause));
        return null;
    }

    private bool TryStart(SafeFileHandle local, LinkConnection connection, DescriptorFlags flags, PeerCredentials whose, ucred? speaker, out string reason)
    {
        try
        {
            var info = new RelayInfo(_host, $"{_path} ({DescriptorKind.Socket})", Descriptor.KindOf(flags), whose.Uid, whose.Gid, whose.Pid);
            RuntimePassing passing = owner.PassingOf(_host, mountId, whose, _path, relays);
            _ = relays.Start(_hub, local, connection, info, null, owner.ContinuityOf(connection, _host), speaker, passing);
            reason = "";
            return true;
        }
        catch (Exception e) when (e is ObjectDisposedException or IOException)
        {
            // Expected: the runtime is stopping, or has no descriptors left.
            connection.Dispose();
            reason = e.Message;
            return false;
        }
    }
}
