using Dpu.Linux;

namespace Dpu.Relay.Flow;

/// <summary>A link on a thread that may wait, before a loop has it.</summary>
internal static unsafe class WaitingLink
{
    /// <summary>Sends all.</summary>
    /// <param name="link">The link.</param>
    /// <param name="bytes">What.</param>
    /// <param name="limit">For all of it.</param>
    /// <exception cref="IOException">The link broke, or took nothing for that time.</exception>
    public static void Write(IRelayLink link, ReadOnlySpan<byte> bytes, TimeSpan limit)
    {
        long until = Environment.TickCount64 + (long)limit.TotalMilliseconds;
        fixed (byte* start = bytes)
        {
            for (int done = 0; done < bytes.Length || !link.TryFlush();)
            {
                // SAFETY: pinned for the call, with its length.
                int sent = done < bytes.Length ? link.Send(start + done, bytes.Length - done) : -errno.EAGAIN;
                done += Math.Max(0, sent);
                if (sent < 0)
                {
                    Wait(link, sent, until);
                }
            }
        }
    }

    private static void Wait(IRelayLink link, int error, long until)
    {
        if (error is not (-errno.EAGAIN or -errno.EINTR))
        {
            throw new IOException($"the connection broke: errno {-error}");
        }

        long left = until - Environment.TickCount64;
        if (left <= 0)
        {
            throw new IOException("the other end took nothing more");
        }

        var wanted = new pollfd { fd = link.Descriptor, events = poll.POLLOUT };

        // SAFETY: one pollfd, which lives on this stack during the call. What is ready the next call tells.
        _ = LibC.poll(&wanted, 1, (int)Math.Min(left, int.MaxValue));
    }
}
