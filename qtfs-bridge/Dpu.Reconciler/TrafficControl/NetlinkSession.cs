using System.Runtime.CompilerServices;
using Dpu.Linux;
using Dpu.Reconciler.Targets;

namespace Dpu.Reconciler.TrafficControl;

/// <summary>What came of one request.</summary>
/// <param name="Error">An errno; 0 where it is done.</param>
/// <param name="Message">What the kernel said of it (NLMSGERR_ATTR_MSG), of an error or besides; empty where it said nothing.</param>
internal readonly record struct NetlinkAnswer(int Error, string Message)
{
    /// <summary>What went wrong, for people.</summary>
    internal string Reason => Message.Length > 0 ? $"{Message} ({NetlinkSocket.ErrnoText(Error)})" : NetlinkSocket.ErrnoText(Error);
}

/// <summary>Requests to routing netlink and their answers, joined by sequence numbers: answers to older requests are passed over. One thread at a time.</summary>
internal sealed class NetlinkSession(INetlinkChannel channel) : IDisposable
{
    private readonly byte[] _buffer = new byte[1 << 17];
    private uint _sequence;

    /// <summary>A message that belongs to a request: its type and what follows its head.</summary>
    internal delegate void MessageReader(uint sequence, ushort type, ReadOnlySpan<byte> body);

    internal uint NextSequence() => ++_sequence;

    /// <summary>As <see cref="TryDump"/>, which must not fail.</summary>
    /// <exception cref="TargetException">The kernel refused it, or cannot be reached.</exception>
    internal bool Dump(ReadOnlySpan<byte> request, uint sequence, string what, MessageReader read, CancellationToken cancellation) =>
        TryDump(request, sequence, read, cancellation, out NetlinkAnswer answer) || (answer.Error != 0 ? throw new TargetException($"{channel.Name}: {what} failed: {answer.Reason}") : false);

    /// <summary>Sends one dump request and reads all that comes of it.</summary>
    /// <returns>Whether what was dumped changed meanwhile (NLM_F_DUMP_INTR).</returns>
    /// <exception cref="TargetException">The kernel cannot be reached.</exception>
    internal bool TryDump(ReadOnlySpan<byte> request, uint sequence, MessageReader read, CancellationToken cancellation, out NetlinkAnswer told)
    {
        channel.Send(request);
        bool interrupted = false, done = false;
        NetlinkAnswer answer = default;
        while (!done)
        {
            // What comes after a cancelled dump has an old number.
            cancellation.ThrowIfCancellationRequested();
            Receive((header, body) =>
            {
                if (header.nlmsg_seq != sequence)
                {
                    return;
                }

                interrupted |= (header.nlmsg_flags & linux_rtnetlink.NLM_F_DUMP_INTR) != 0;
                if (header.nlmsg_type is linux_netlink.NLMSG_DONE or linux_netlink.NLMSG_ERROR)
                {
                    (answer, done) = (Answer(header, body), true);
                }
                else
                {
                    read(header.nlmsg_seq, header.nlmsg_type, body);
                }
            });
        }

        // Some kernels end an inconsistent dump with an error instead of the flag.
        interrupted |= answer.Error == errno.EINTR;
        told = answer.Error == errno.EINTR ? default : answer;
        return interrupted && told.Error == 0;
    }

    /// <summary>Sends several requests with NLM_F_ACK, whose numbers follow each other, and waits for all their answers.</summary>
    internal NetlinkAnswer[] Ask(ReadOnlySpan<byte> requests, uint first, int count, MessageReader read)
    {
        channel.Send(requests);
        NetlinkAnswer?[] answers = new NetlinkAnswer?[count];
        int open = count;
        while (open > 0)
        {
            Receive((header, body) =>
            {
                uint number = header.nlmsg_seq - first;
                if (number >= (uint)count)
                {
                    return;
                }

                if (header.nlmsg_type == linux_netlink.NLMSG_ERROR)
                {
                    open -= answers[number] is null ? 1 : 0;
                    answers[number] = Answer(header, body);
                }
                else
                {
                    read(header.nlmsg_seq, header.nlmsg_type, body);
                }
            });
        }

        return [.. answers.Select(answer => answer!.Value)];
    }

    public void Dispose() => channel.Dispose();

    /// <summary>One message: its head, and what follows that.</summary>
    internal delegate void Each(nlmsghdr header, ReadOnlySpan<byte> body);

    /// <summary>Goes through the messages of one datagram.</summary>
    /// <param name="datagram">What was received.</param>
    /// <param name="name">Of the channel, for messages of errors.</param>
    /// <param name="each">Called with each.</param>
    /// <exception cref="TargetException">It is none of netlink messages.</exception>
    internal static void Split(ReadOnlySpan<byte> datagram, string name, Each each)
    {
        ReadOnlySpan<byte> rest = datagram;
        while (!rest.IsEmpty)
        {
            if (!NetlinkAttributes.TryRead(rest, out nlmsghdr header) || header.nlmsg_len < Unsafe.SizeOf<nlmsghdr>() || header.nlmsg_len > rest.Length)
            {
                throw new TargetException($"{name} gave an answer that is no netlink message");
            }

            each(header, rest[Unsafe.SizeOf<nlmsghdr>()..(int)header.nlmsg_len]);
            int aligned = ((int)header.nlmsg_len + linux_netlink.NLMSG_ALIGNTO - 1) & ~(linux_netlink.NLMSG_ALIGNTO - 1);
            rest = rest[Math.Min(aligned, rest.Length)..];
        }
    }

    private void Receive(Each each) => Split(_buffer.AsSpan(0, channel.Receive(_buffer)), channel.Name, each);

    // NLMSG_ERROR: a struct nlmsgerr, the request where it is not left out, attributes. NLMSG_DONE: an int, attributes.
    private static NetlinkAnswer Answer(in nlmsghdr header, ReadOnlySpan<byte> body)
    {
        if (!NetlinkAttributes.TryRead(body, out int error))
        {
            return default;
        }

        int head = sizeof(int);
        if (header.nlmsg_type == linux_netlink.NLMSG_ERROR && NetlinkAttributes.TryRead(body, out nlmsgerr told))
        {
            head = Unsafe.SizeOf<nlmsgerr>();
            head += error != 0 && (header.nlmsg_flags & linux_rtnetlink.NLM_F_CAPPED) == 0 ? (int)told.msg.nlmsg_len - Unsafe.SizeOf<nlmsghdr>() : 0;
        }

        string message = "";
        if ((header.nlmsg_flags & linux_rtnetlink.NLM_F_ACK_TLVS) != 0 && head >= 0 && head <= body.Length)
        {
            NetlinkAttributes attributes = new(body[head..]);
            while (attributes.Next())
            {
                message = attributes.Type == linux_rtnetlink.NLMSGERR_ATTR_MSG ? NetlinkAttributes.Text(attributes.Value) : message;
            }
        }

        return new NetlinkAnswer(-error, message);
    }
}
