using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Text;
using Dpu.Keeper;
using Dpu.Linux;
using Dpu.Relay.Descriptors;
using Dpu.Relay.Processes;
using Grpc.Core;
using Microsoft.Win32.SafeHandles;

namespace Dpu.Runtime.Views;

/// <summary>Has the keeper run dpu-view, by dpu-launch, and waits until the view is there.</summary>
internal static unsafe class ViewLauncher
{
    // Sources in mounts of hosts are walked to, which asks the hosts.
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(60);
    private const int MostText = 8192;

    private static string Program => NativeProgram.PathOf("dpu-view");

    /// <summary>Begins.</summary>
    /// <param name="keeping">The keeper.</param>
    /// <param name="name">The entry of the keeper.</param>
    /// <param name="arguments">Of dpu-view.</param>
    /// <param name="withProcesses">Called when the view's procfs can be seen, before anything of it is mounted.</param>
    /// <exception cref="ViewException">There is no view.</exception>
    public static void Run(Keeping keeping, string name, IReadOnlyList<string> arguments, Action withProcesses)
    {
        (SafeFileHandle launcher, SafeFileHandle launchers) = Pair();
        (SafeFileHandle init, SafeFileHandle inits) = Pair();
        using (launcher)
        using (init)
        {
            SafeFileHandle pidfd;
            try
            {
                using (launchers)
                {
                    keeping.Drop(name);
                    (_, pidfd) = keeping.Run(name, [], 0, launchers);
                }
            }
            catch (KeeperException e)
            {
                inits.Dispose();
                throw new ViewException(StatusCode.FailedPrecondition, $"a view outlives the runtime, and so is dpu-keeper's: {e.Message}", e);
            }

            using (pidfd)
            {
                bool isReady = false;
                try
                {
                    using (inits)
                    {
                        Tell(launcher, inits, arguments);
                    }

                    Await(launcher, init, withProcesses);
                    isReady = true;
                }
                finally
                {
                    if (!isReady)
                    {
                        // Without its first process nothing of a view is left. The outer one ends with it.
                        using (ViewInit? found = ViewInit.Find(arguments[1]))
                        {
                            _ = found?.Kill(TimeSpan.FromSeconds(5));
                        }

                        _ = LibC.pidfd_send_signal((int)pidfd.DangerousGetHandle(), signal.SIGKILL, null);
                        keeping.Drop(name);
                    }
                }
            }
        }
    }

    private static (SafeFileHandle Ours, SafeFileHandle Theirs) Pair()
    {
        int* ends = stackalloc int[2];

        // SAFETY: two descriptors on the stack.
        return sys_socket.socketpair(sys_socket.AF_UNIX, sys_socket.SOCK_STREAM | sys_socket.SOCK_CLOEXEC, 0, ends) < 0
            ? throw new ViewException(StatusCode.ResourceExhausted, "no descriptors are left: raise the runtime's limit of open files (LimitNOFILE)")
            : (new SafeFileHandle(ends[0], ownsHandle: true), new SafeFileHandle(ends[1], ownsHandle: true));
    }

    private static void Tell(SafeFileHandle launcher, SafeFileHandle inits, IReadOnlyList<string> arguments)
    {
        using SafeFileHandle nothing = File.OpenHandle("/dev/null", FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite);
        using SafeFileHandle mounts = File.OpenHandle("/proc/self/ns/mnt");
        int[] descriptors = [Number(inits), Number(nothing), Number(nothing), Number(mounts)];
        var spec = new ProcessSpec { Program = Program, Arguments = [.. arguments.Prepend("dpu-view").Select(Encoding.UTF8.GetBytes)], Directory = "/", Umask = 0x12 };
        if (!Send(launcher, process.PROCESS_DESCRIPTORS, MemoryMarshal.AsBytes<int>([0, 1, 2, 3]), descriptors) || !Send(launcher, process.PROCESS_START, spec.ToBytes(), []))
        {
            throw new ViewException(StatusCode.Unavailable, "dpu-launch ended before it was told what to run; see dpu-keeper's log");
        }
    }

    private static void Await(SafeFileHandle launcher, SafeFileHandle init, Action withProcesses)
    {
        var said = new StringBuilder();
        while (true)
        {
            string line = ReadLine(init, said);
            switch (line)
            {
                case "procfs":
                    withProcesses();
                    _ = RightsSocket.TrySendAll(init, "g"u8, []);
                    break;
                case "ready":
                    return;
                case "":
                    throw new ViewException(StatusCode.Internal, WhyNotLaunched(launcher));
                default:
                    throw new ViewException(StatusCode.FailedPrecondition, line.StartsWith("failed: ", StringComparison.Ordinal) ? line["failed: ".Length..] : line);
            }
        }
    }

    // Empty at the end.
    private static string ReadLine(SafeFileHandle init, StringBuilder said)
    {
        byte[] room = new byte[4096];
        while (true)
        {
            string all = said.ToString();
            int end = all.IndexOf('\n', StringComparison.Ordinal);
            if (end >= 0)
            {
                _ = said.Remove(0, end + 1);
                return all[..end];
            }

            if (!poll.WaitReadable(init, Limit))
            {
                throw new ViewException(StatusCode.DeadlineExceeded, $"dpu-view has not made it within {Limit.TotalSeconds} s: does a host not answer? 'dpuctl mounts' shows");
            }

            int got = RightsSocket.TryReceive(init, room, out int[]? descriptors, out _);
            Array.ForEach(descriptors ?? [], one => _ = LibC.close(one));
            if (got is -errno.EAGAIN or -errno.EINTR)
            {
                continue;
            }

            if (got <= 0 || said.Length > MostText)
            {
                return "";
            }

            said.Append(Encoding.UTF8.GetString(room, 0, got));
        }
    }

    private static string WhyNotLaunched(SafeFileHandle launcher)
    {
        byte[] room = new byte[MostText];
        int got = poll.WaitReadable(launcher, TimeSpan.FromSeconds(1)) ? RightsSocket.TryReceive(launcher, room, out _, out _) : 0;
        int head = sizeof(process_frame) + (2 * sizeof(int));
        return got > head && BinaryPrimitives.ReadUInt16LittleEndian(room.AsSpan(4)) == process.PROCESS_FAILED
            ? Link.Printable.Clean(Encoding.UTF8.GetString(room, head, got - head), 4096)
            : "dpu-view ended before it said why; see dpu-keeper's log";
    }

    private static bool Send(SafeFileHandle socket, ushort kind, ReadOnlySpan<byte> content, int[] descriptors)
    {
        byte[] frame = new byte[sizeof(process_frame) + content.Length];
        BinaryPrimitives.WriteInt32LittleEndian(frame, content.Length);
        BinaryPrimitives.WriteUInt16LittleEndian(frame.AsSpan(4), kind);
        content.CopyTo(frame.AsSpan(sizeof(process_frame)));
        return RightsSocket.TrySendAll(socket, frame, descriptors);
    }

    private static int Number(SafeFileHandle handle) => (int)handle.DangerousGetHandle();
}
