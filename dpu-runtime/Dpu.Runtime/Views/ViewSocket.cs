using System.Runtime.InteropServices;
using System.Text;
using Dpu.Keeper;
using Dpu.Linux;
using Dpu.Relay;
using Dpu.Relay.Addresses;
using Dpu.Relay.Descriptors;
using Dpu.Runtime.Sockets;
using Dpu.Runtime.Views.Calls;
using Grpc.Core;
using Microsoft.Win32.SafeHandles;

namespace Dpu.Runtime.Views;

/// <summary>Where dpu-run connects (qtfs-bridge/native/view.h): root only.</summary>
internal sealed unsafe class ViewSocket : IDisposable
{
    private const uint Mode = 0x180; // 0600
    private const int Backlog = 128;

    // Mounts of hosts that do not stand yet, at boot.
    private static readonly TimeSpan MountsLimit = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan TryInterval = TimeSpan.FromMilliseconds(250);
    private static readonly TimeSpan RequestLimit = TimeSpan.FromSeconds(30);

    private readonly BoundAddress _bound;
    private readonly ViewTable _table;
    private readonly ManualResetEventSlim _stopping;
    private readonly DialThreads _workers = new("view");
    private readonly Thread _accepting;

    private ViewSocket(BoundAddress bound, ViewTable table, ManualResetEventSlim stopping)
    {
        (_bound, _table, _stopping) = (bound, table, stopping);
        _accepting = new Thread(Accept, 128 * 1024) { IsBackground = true, Name = "views" };
        _accepting.Start();
    }

    /// <summary>Listens; null where that cannot be.</summary>
    public static ViewSocket? TryMake(string path, ViewTable table, ManualResetEventSlim stopping, out string reason)
    {
        reason = "";
        try
        {
            _ = Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            reason = e.Message;
            return null;
        }

        int error = BoundAddress.TryBind(path, sys_socket.SOCK_SEQPACKET, Mode, LibC.geteuid(), LibC.getegid(), out BoundAddress? bound);
        if (bound is null || sys_socket.listen(bound.Socket, Backlog) < 0)
        {
            bound?.Dispose();
            reason = Marshal.GetPInvokeErrorMessage(error < 0 ? -error : Marshal.GetLastPInvokeError());
            return null;
        }

        return new ViewSocket(bound, table, stopping);
    }

    public void Dispose()
    {
        // Its file goes first: who comes now is told that nobody is there.
        _bound.Dispose();
        _accepting.Join();
        _workers.Dispose();
    }

    private void Accept()
    {
        while (!_stopping.IsSet)
        {
            if (_bound.Socket.IsClosed || !poll.WaitReadable(_bound.Socket, TryInterval))
            {
                continue;
            }

            int accepted = sys_socket.accept4(_bound.Socket, null, null, sys_socket.SOCK_CLOEXEC);
            if (accepted >= 0)
            {
                var connection = new SafeFileHandle(accepted, ownsHandle: true);
                _workers.Run(() =>
                {
                    using (connection)
                    {
                        Serve(connection);
                    }
                });
            }
        }
    }

    private void Serve(SafeFileHandle connection)
    {
        if (PeerCredentials.Read(connection) is not { Uid: 0 } program)
        {
            Tell(connection, errno.EPERM, "only root may join views", 0, [], -1);
            return;
        }

        if (Receive(connection, out SafeFileHandle? nothing) is not { Kind: view.VIEW_JOIN } asked)
        {
            nothing?.Dispose();
            return;
        }

        nothing?.Dispose();
        try
        {
            RuntimeView joined = Join(asked.Name);
            sock_filter[] filter = SeccompFilter.Build(joined.Configuration.Calls);
            int namespaces = sched.CLONE_NEWNS | sched.CLONE_NEWPID | sched.CLONE_NEWUTS | sched.CLONE_NEWIPC | (joined.Configuration.OwnNetwork ? sched.CLONE_NEWNET : 0);
            Tell(connection, 0, "", (uint)namespaces, filter, (int)joined.Init.Pidfd.DangerousGetHandle());
            Log.ViewJoined(_table.Logger, asked.Name, program.Pid);
            if (filter.Length > 0 && Receive(connection, out SafeFileHandle? listener) is { Kind: view.VIEW_LISTENER } && listener is not null)
            {
                bool isHeard = _table.Listen(joined, listener);
                Tell(connection, isHeard ? 0 : errno.ECONNREFUSED, isHeard ? "" : "the view has just ended, or the runtime has no descriptors left", 0, [], -1);
            }
        }
        catch (ViewException e)
        {
            Tell(connection, errno.EPERM, e.Message, 0, [], -1);
        }
        catch (ObjectDisposedException)
        {
            Tell(connection, errno.ECONNREFUSED, "the runtime is stopping, or the view has just ended; try again", 0, [], -1);
        }
    }

    private RuntimeView Join(string name)
    {
        long began = Environment.TickCount64;
        while (true)
        {
            try
            {
                return _table.Join(name);
            }
            catch (ViewException e) when (e.Code == StatusCode.Unavailable && Environment.TickCount64 - began < MountsLimit.TotalMilliseconds && !_stopping.Wait(TryInterval))
            {
                // Expected: a host is not there yet.
            }
        }
    }

    private static (int Kind, string Name)? Receive(SafeFileHandle connection, out SafeFileHandle? beside)
    {
        beside = null;
        view_request request;
        if (!poll.WaitReadable(connection, RequestLimit))
        {
            return null;
        }

        // SAFETY: one on this stack, of its own size.
        int got = RightsSocket.TryReceive(connection, new Span<byte>(&request, sizeof(view_request)), out int[]? descriptors, out _);
        for (int i = 0; i < descriptors?.Length; i++)
        {
            if (i == 0)
            {
                beside = new SafeFileHandle(descriptors[0], ownsHandle: true);
            }
            else
            {
                _ = LibC.close(descriptors[i]);
            }
        }

        if (got != sizeof(view_request) || request.version != view.VIEW_VERSION)
        {
            return null;
        }

        var name = new ReadOnlySpan<byte>(request.name, view.VIEW_NAME_MAX);
        int end = name.IndexOf((byte)0);
        return ((int)request.kind, Encoding.UTF8.GetString(end < 0 ? name : name[..end]));
    }

    private static void Tell(SafeFileHandle connection, int error, string text, uint namespaces, sock_filter[] filter, int beside)
    {
        byte[] more = error != 0 ? Encoding.UTF8.GetBytes(text) : MemoryMarshal.AsBytes(filter.AsSpan()).ToArray();
        var head = new view_answer { version = view.VIEW_VERSION, error = (uint)error, namespaces = namespaces, instructions = error != 0 ? 0 : (uint)filter.Length };

        // SAFETY: one on this stack, of its own size.
        byte[] answer = [.. new ReadOnlySpan<byte>(&head, sizeof(view_answer)), .. more.AsSpan(0, Math.Min(more.Length, view.VIEW_TEXT_MAX - 1))];
        _ = RightsSocket.TrySend(connection, answer, beside < 0 ? [] : [beside]);
    }
}
