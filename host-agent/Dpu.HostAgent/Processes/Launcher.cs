using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Text;
using Dpu.Keeper;
using Dpu.Linux;
using Dpu.Relay.Processes;
using Microsoft.Win32.SafeHandles;

namespace Dpu.HostAgent.Processes;

/// <summary>Has the keeper run dpu-launch, and tells that what to become (qtfs-bridge/native/process.h).</summary>
internal static unsafe class Launcher
{
    /// <summary>The program could not be executed, as shells have it.</summary>
    public const int NotExecutable = 126;

    /// <summary>There is no such program.</summary>
    public const int NotFound = 127;

    private static readonly int FrameHeader = sizeof(process_frame);

    // Its execve(2) may wait for a file system.
    private const int LimitMilliseconds = 60_000;

    /// <summary>Begins.</summary>
    /// <param name="keeping">The keeper.</param>
    /// <param name="memory">The process's; gets its stage and number.</param>
    /// <param name="note">What the keeper keeps beside it.</param>
    /// <param name="spec">What it is to be, of the host's own ids and paths.</param>
    /// <param name="descriptors">Numbers, and what they are; the caller's.</param>
    /// <param name="number">The number that it is to have; 0 for any.</param>
    /// <param name="birthplace">The directory of a cgroup of v2 in which it is to begin; null for none.</param>
    /// <param name="prepare">Called with its number, and whether it is in that cgroup, before it is told.</param>
    /// <param name="pidfd">The process.</param>
    /// <param name="code">The exit code that a shell would have where it does not run.</param>
    /// <returns>Why it does not run; null where it does.</returns>
    public static string? Run(
        Keeping keeping, ProcessMemory memory, ReadOnlySpan<byte> note, ProcessSpec spec, IReadOnlyList<(int Number, SafeHandle What)> descriptors, int number, SafeFileHandle? birthplace, Action<int, bool> prepare, out SafeFileHandle? pidfd, out int code)
    {
        (pidfd, code) = (null, NotExecutable);
        int* ends = stackalloc int[2];

        // SAFETY: two descriptors on the stack.
        if (sys_socket.socketpair(sys_socket.AF_UNIX, sys_socket.SOCK_STREAM | sys_socket.SOCK_CLOEXEC, 0, ends) < 0)
        {
            return "no descriptors are left";
        }

        bool born;
        using var ours = new SafeFileHandle(ends[0], ownsHandle: true);
        using (var theirs = new SafeFileHandle(ends[1], ownsHandle: true))
        {
            memory.Stage = ProcessStage.Prepared;
            try
            {
                (memory.Number, pidfd, born) = Run(keeping, memory, note, number, birthplace, theirs);
            }
            catch (KeeperException e)
            {
                return e.Message;
            }
        }

        prepare(memory.Number, born);
        memory.Stage = ProcessStage.Told;
        string? problem = Tell(ours, spec, descriptors) ?? AwaitExecuted(ours, out code);
        if (problem is null)
        {
            memory.Stage = ProcessStage.Running;
        }

        return problem;
    }

    // With another number where that one is taken, is beyond what this machine has, or may not be chosen.
    private static (int Process, SafeFileHandle Pidfd, bool Born) Run(Keeping keeping, ProcessMemory memory, ReadOnlySpan<byte> note, int number, SafeFileHandle? birthplace, SafeFileHandle socket)
    {
        memory.NumberError = errno.EINVAL;
        if (number > 1)
        {
            try
            {
                (int Process, SafeFileHandle Pidfd, bool Born) run = RunIn(keeping, memory, note, number, birthplace, socket);
                memory.NumberError = 0;
                return run;
            }
            catch (KeeperException e) when (e.Error is errno.EEXIST or errno.EINVAL or errno.EPERM)
            {
                // Expected: the two machines choose numbers by themselves.
                memory.NumberError = e.Error;
            }
        }

        return RunIn(keeping, memory, note, 0, birthplace, socket);
    }

    // Not in the cgroup where that takes none, or the keeper is of an earlier version: then it enters it itself.
    private static (int Process, SafeFileHandle Pidfd, bool Born) RunIn(Keeping keeping, ProcessMemory memory, ReadOnlySpan<byte> note, int number, SafeFileHandle? birthplace, SafeFileHandle socket)
    {
        string name = $"{memory.Name}/process";
        if (birthplace is not null && keeping.Bears)
        {
            try
            {
                (int process, SafeFileHandle pidfd) = keeping.Run(name, note, number, socket, birthplace);
                return (process, pidfd, true);
            }
            catch (KeeperException e) when (e.Error is not (0 or errno.EEXIST or errno.EINVAL or errno.EPERM))
            {
                // Expected where it was removed, or may not have processes, or is not the keeper's to put some there. What is not its fault fails again.
            }
        }

        (int other, SafeFileHandle descriptor) = keeping.Run(name, note, number, socket);
        return (other, descriptor, false);
    }

    private static string? Tell(SafeFileHandle socket, ProcessSpec spec, IReadOnlyList<(int Number, SafeHandle What)> descriptors)
    {
        for (int at = 0; at < descriptors.Count; at += process.PROCESS_FRAME_DESCRIPTORS)
        {
            (int Number, SafeHandle What)[] some = [.. descriptors.Skip(at).Take(process.PROCESS_FRAME_DESCRIPTORS)];
            byte[] numbers = MemoryMarshal.AsBytes<int>([.. some.Select(one => one.Number)]).ToArray();
            int[] what = [.. some.Select(one => (int)one.What.DangerousGetHandle())];
            if (!Send(socket, process.PROCESS_DESCRIPTORS, numbers, what))
            {
                return "dpu-launch has ended before it was told what to run";
            }
        }

        return Send(socket, process.PROCESS_START, spec.ToBytes(), []) ? null : "dpu-launch has ended before it was told what to run";
    }

    private static string? AwaitExecuted(SafeFileHandle socket, out int code)
    {
        code = NotExecutable;
        byte[] head = new byte[FrameHeader];
        int got = Receive(socket, head);
        if (got == 0)
        {
            return null;
        }

        int size = BinaryPrimitives.ReadInt32LittleEndian(head);
        if (got != FrameHeader || BinaryPrimitives.ReadUInt16LittleEndian(head.AsSpan(4)) != process.PROCESS_FAILED || size is < 8 or > 65536)
        {
            return "dpu-launch does not answer";
        }

        byte[] content = new byte[size];
        if (Receive(socket, content) != size)
        {
            return "dpu-launch has ended while it told why it cannot run the program";
        }

        int error = BinaryPrimitives.ReadInt32LittleEndian(content);
        code = error == errno.ENOENT && BinaryPrimitives.ReadInt32LittleEndian(content.AsSpan(4)) == process.PROCESS_PROGRAM ? NotFound : NotExecutable;
        return Link.Printable.Clean(Encoding.UTF8.GetString(content, 8, size - 8), 4096);
    }

    // The bytes, fewer at the end of the connection; -1 after the limit.
    private static int Receive(SafeFileHandle socket, byte[] room)
    {
        int at = 0;
        while (at < room.Length)
        {
            var wait = new pollfd { fd = (int)socket.DangerousGetHandle(), events = poll.POLLIN };

            // SAFETY: one on this stack, and the array's own length.
            if (LibC.poll(&wait, 1, LimitMilliseconds) <= 0)
            {
                return -1;
            }

            fixed (byte* bytes = room)
            {
                long got = LibC.Result(LibC.read((int)socket.DangerousGetHandle(), bytes + at, (nuint)(room.Length - at)));
                if (got <= 0)
                {
                    return got == 0 || got == -errno.ECONNRESET ? at : -1;
                }

                at += (int)got;
            }
        }

        return at;
    }

    private static bool Send(SafeFileHandle socket, ushort kind, byte[] content, int[] descriptors)
    {
        byte[] frame = new byte[FrameHeader + content.Length];
        BinaryPrimitives.WriteInt32LittleEndian(frame, content.Length);
        BinaryPrimitives.WriteUInt16LittleEndian(frame.AsSpan(4), kind);
        content.CopyTo(frame, FrameHeader);
        return Relay.Descriptors.RightsSocket.TrySendAll(socket, frame, descriptors);
    }
}
