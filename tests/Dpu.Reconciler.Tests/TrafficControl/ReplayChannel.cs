using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Dpu.Linux;
using Dpu.Reconciler.TrafficControl;

namespace Dpu.Reconciler.Tests.TrafficControl;

/// <summary>Answers as the kernel's routing netlink does, from what it is given: for what no kernel does on request, such as interrupted dumps.</summary>
internal sealed class ReplayChannel : INetlinkChannel
{
    private readonly Queue<byte[]> _answers = new();

    public string Name => "a replay";

    internal IReadOnlyList<(int Index, string Name)> Interfaces { get; set; } = [(1, "lo")];

    /// <summary>Bodies of RTM_NEWTFILTER that dumps give.</summary>
    internal List<byte[]> Filters { get; } = [];

    /// <summary>So many dumps of filters are interrupted.</summary>
    internal int Interrupted { get; set; }

    internal int Dumps { get; private set; }

    /// <summary>The body of the filter that was sent last, with a handle.</summary>
    internal byte[]? LastFilter { get; private set; }

    public void Send(ReadOnlySpan<byte> messages)
    {
        while (!messages.IsEmpty)
        {
            nlmsghdr head = MemoryMarshal.Read<nlmsghdr>(messages);
            byte[] body = messages[Unsafe.SizeOf<nlmsghdr>()..(int)head.nlmsg_len].ToArray();
            Answer(head, body);
            messages = messages[(int)head.nlmsg_len..];
        }
    }

    public int Receive(Span<byte> buffer)
    {
        byte[] answer = _answers.Dequeue();
        answer.CopyTo(buffer);
        return answer.Length;
    }

    public void Dispose()
    {
        // It holds nothing.
    }

    private void Answer(nlmsghdr head, byte[] body)
    {
        switch (head.nlmsg_type)
        {
            case linux_rtnetlink.RTM_GETLINK:
                foreach ((int index, string name) in Interfaces)
                {
                    NetlinkWriter writer = new();
                    writer.Begin(linux_rtnetlink.RTM_NEWLINK, linux_rtnetlink.NLM_F_MULTI, head.nlmsg_seq, new ifinfomsg { ifi_index = index });
                    writer.Text(linux_rtnetlink.IFLA_IFNAME, name);
                    writer.End();
                    _answers.Enqueue(writer.Written.ToArray());
                }

                Put(linux_netlink.NLMSG_DONE, 0, head.nlmsg_seq, new byte[4]);
                break;
            case linux_rtnetlink.RTM_GETTFILTER:
                bool interrupted = Dumps++ < Interrupted;
                foreach (byte[] filter in Filters)
                {
                    Put(linux_rtnetlink.RTM_NEWTFILTER, (ushort)(linux_rtnetlink.NLM_F_MULTI | (interrupted ? linux_rtnetlink.NLM_F_DUMP_INTR : 0)), head.nlmsg_seq, filter);
                }

                Put(linux_netlink.NLMSG_DONE, 0, head.nlmsg_seq, new byte[4]);
                break;
            default:
                BinaryPrimitives.WriteUInt32LittleEndian(body.AsSpan(8), 7);
                LastFilter = body;
                Put(linux_rtnetlink.RTM_NEWTFILTER, 0, head.nlmsg_seq, body);
                Put(linux_netlink.NLMSG_ERROR, linux_rtnetlink.NLM_F_CAPPED, head.nlmsg_seq, new byte[Unsafe.SizeOf<nlmsgerr>()]);
                break;
        }
    }

    private void Put(ushort type, ushort flags, uint sequence, byte[] body)
    {
        byte[] message = new byte[Unsafe.SizeOf<nlmsghdr>() + ((body.Length + 3) & ~3)];
        nlmsghdr head = new() { nlmsg_len = (uint)(Unsafe.SizeOf<nlmsghdr>() + body.Length), nlmsg_type = type, nlmsg_flags = flags, nlmsg_seq = sequence };
        MemoryMarshal.Write(message, in head);
        body.CopyTo(message.AsSpan(Unsafe.SizeOf<nlmsghdr>()));
        _answers.Enqueue(message);
    }
}
