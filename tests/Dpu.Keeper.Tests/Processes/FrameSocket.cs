using System.Runtime.InteropServices;
using System.Text;
using Dpu.Linux;
using Microsoft.Win32.SafeHandles;

namespace Dpu.Keeper.Tests.Processes;

/// <summary>A frame of process.h as it came, with its descriptors.</summary>
internal sealed record Frame(int Kind, byte[] Content, IReadOnlyList<SafeFileHandle> Descriptors)
{
    /// <summary>The number at so many bytes.</summary>
    public int Number(int at = 0) => BitConverter.ToInt32(Content, at);

    /// <summary>The text behind two numbers, or one.</summary>
    public string Text(int at) => Encoding.UTF8.GetString(Content.AsSpan(at));

    /// <summary>The records of a start: kind and content.</summary>
    public IReadOnlyList<(int Kind, byte[] Bytes)> Records()
    {
        List<(int, byte[])> records = [];
        for (int at = 0; at < Content.Length;)
        {
            process_record head = MemoryMarshal.Read<process_record>(Content.AsSpan(at));
            records.Add((head.kind, Content.AsSpan(at + 8, (int)head.size).ToArray()));
            at += 8 + (((int)head.size + 7) & ~7);
        }

        return records;
    }

    /// <summary>The one record of that kind.</summary>
    public byte[] Record(int kind) => Records().Single(record => record.Kind == kind).Bytes;

    /// <summary>The texts of that kind, in order.</summary>
    public string[] Texts(int kind) => [.. Records().Where(record => record.Kind == kind).Select(record => Encoding.UTF8.GetString(record.Bytes))];
}

/// <summary>One end of a connection on which frames of process.h are said, by blocking calls with a limit.</summary>
internal sealed unsafe class FrameSocket : IDisposable
{
    public FrameSocket(SafeFileHandle handle)
    {
        Handle = handle;
        var time = new timeval { tv_sec = 20 };
        Assert.AreEqual(0, sys_socket.setsockopt(Handle, sys_socket.SOL_SOCKET, sys_socket.SO_RCVTIMEO, &time, (uint)sizeof(timeval)));
        Assert.AreEqual(0, sys_socket.setsockopt(Handle, sys_socket.SOL_SOCKET, sys_socket.SO_SNDTIMEO, &time, (uint)sizeof(timeval)));
    }

    public SafeFileHandle Handle { get; }

    /// <summary>Two ends.</summary>
    public static (FrameSocket Ours, SafeFileHandle Theirs) Pair()
    {
        int* ends = stackalloc int[2];
        Assert.AreEqual(0, sys_socket.socketpair(sys_socket.AF_UNIX, sys_socket.SOCK_STREAM | sys_socket.SOCK_CLOEXEC, 0, ends));
        return (new FrameSocket(new SafeFileHandle(ends[0], ownsHandle: true)), new SafeFileHandle(ends[1], ownsHandle: true));
    }

    public static byte[] Bytes(params int[] numbers) => MemoryMarshal.AsBytes<int>(numbers).ToArray();

    public void Send(int kind, ReadOnlySpan<byte> content, params int[] descriptors)
    {
        var head = new process_frame { size = (uint)content.Length, kind = (ushort)kind };
        SendRaw([.. MemoryMarshal.AsBytes(new ReadOnlySpan<process_frame>(in head)), .. content], descriptors);
    }

    /// <summary>Bytes as they are; false where the other end is gone.</summary>
    public bool SendRaw(ReadOnlySpan<byte> bytes, params int[] descriptors)
    {
        byte* control = stackalloc byte[cmsg.SpaceOf(Math.Max(descriptors.Length, 1))];
        fixed (byte* pointer = bytes)
        {
            for (int done = 0; done < bytes.Length;)
            {
                var part = new iovec { iov_base = pointer + done, iov_len = (nuint)(bytes.Length - done) };
                var message = new msghdr { msg_iov = &part, msg_iovlen = 1 };
                if (descriptors.Length > 0 && done == 0)
                {
                    message.msg_control = control;
                    message.msg_controllen = (nuint)cmsg.PutDescriptors(control, descriptors);
                }

                // SAFETY: all that it points to lives until the call returns.
                long sent = LibC.Result(LibC.sendmsg((int)Handle.DangerousGetHandle(), &message, msg_flags.MSG_NOSIGNAL));
                if (sent is -errno.EPIPE or -errno.ECONNRESET)
                {
                    return false;
                }

                Assert.IsGreaterThan(0, sent, "sendmsg");
                done += (int)sent;
            }
        }

        return true;
    }

    /// <summary>The next frame; null at the end.</summary>
    public Frame? Receive()
    {
        List<SafeFileHandle> descriptors = [];
        process_frame head;
        if (!Fill(new Span<byte>(&head, sizeof(process_frame)), descriptors))
        {
            return null;
        }

        byte[] content = new byte[head.size];
        Assert.IsTrue(Fill(content, descriptors), "a frame is cut");
        return new Frame(head.kind, content, descriptors);
    }

    public void Dispose() => Handle.Dispose();

    private bool Fill(Span<byte> bytes, List<SafeFileHandle> descriptors)
    {
        int space = cmsg.SpaceOf(process.PROCESS_FRAME_DESCRIPTORS);
        byte* control = stackalloc byte[space];
        fixed (byte* pointer = bytes)
        {
            for (int done = 0; done < bytes.Length;)
            {
                var part = new iovec { iov_base = pointer + done, iov_len = (nuint)(bytes.Length - done) };
                var message = new msghdr { msg_iov = &part, msg_iovlen = 1, msg_control = control, msg_controllen = (nuint)space };

                // SAFETY: as above.
                long got = LibC.Result(LibC.recvmsg((int)Handle.DangerousGetHandle(), &message, msg_flags.MSG_CMSG_CLOEXEC));
                if (got is 0 or -errno.ECONNRESET)
                {
                    return false;
                }

                Assert.IsGreaterThan(0, got, "no frame came within 20 s");
                if (message.msg_controllen > 0)
                {
                    var rights = (cmsghdr*)control;
                    int count = ((int)rights->cmsg_len - sizeof(cmsghdr)) / sizeof(int);
                    for (int i = 0; i < count; i++)
                    {
                        descriptors.Add(new SafeFileHandle(((int*)(rights + 1))[i], ownsHandle: true));
                    }
                }

                done += (int)got;
            }
        }

        return true;
    }
}
