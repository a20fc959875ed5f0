#pragma warning disable CA1707, CA1051, CA1815, CS1591, IDE1006, CS8981
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Dpu.Linux;

/// <summary>A descriptor to wait for.</summary>
[CStruct("struct pollfd", "poll.h")]
public struct pollfd
{
    public int fd;
    public short events;
    public short revents;
}

/// <summary>Events of poll(2).</summary>
[CConstants("poll.h")]
public static class poll
{
    public const short POLLIN = 0x001;
    public const short POLLPRI = 0x002;
    public const short POLLOUT = 0x004;
    public const short POLLERR = 0x008;
    public const short POLLHUP = 0x010;
    public const short POLLNVAL = 0x020;

    /// <summary>The other end of a stream socket writes no more.</summary>
    public const short POLLRDHUP = 0x2000;

    /// <summary>Waits until a descriptor is readable, broken or at its end; blocks the thread.</summary>
    /// <returns>True where a read(2) would not wait; false after the time, which is rounded up to milliseconds, or a signal.</returns>
    public static bool WaitReadable(SafeHandle descriptor, TimeSpan limit) =>
        (Wait(descriptor, POLLIN, (int)Math.Min(Math.Ceiling(limit.TotalMilliseconds), int.MaxValue)) & (POLLIN | POLLERR | POLLHUP)) != 0;

    /// <summary>Waits until something urgent is there, of a mount table that it has changed; blocks the thread.</summary>
    /// <returns>False after the time, which is rounded up to milliseconds, or a signal.</returns>
    public static bool WaitPriority(SafeHandle descriptor, TimeSpan limit) =>
        (Wait(descriptor, POLLPRI, (int)Math.Min(Math.Ceiling(limit.TotalMilliseconds), int.MaxValue)) & (POLLPRI | POLLERR)) != 0;

    /// <summary>Waits until some of <paramref name="events"/>, POLLERR or POLLHUP is there; blocks the thread.</summary>
    /// <returns>Which; 0 after the time, which is rounded up to milliseconds.</returns>
    public static short Await(SafeHandle descriptor, short events, TimeSpan limit)
    {
        long until = Environment.TickCount64 + (long)Math.Min(Math.Ceiling(limit.TotalMilliseconds), int.MaxValue);
        while (true)
        {
            // A signal may end it early.
            long left = until - Environment.TickCount64;
            short found = Wait(descriptor, events, (int)Math.Max(0, left));
            if (found != 0 || left <= 0)
            {
                return found;
            }
        }
    }

    /// <summary>What of <paramref name="events"/> is there now, with POLLERR and POLLHUP; 0 where nothing is.</summary>
    public static short Now(SafeHandle descriptor, short events) => Wait(descriptor, events, 0);

    private static unsafe short Wait(SafeHandle descriptor, short events, int milliseconds)
    {
        ArgumentNullException.ThrowIfNull(descriptor);
        bool held = false;
        try
        {
            descriptor.DangerousAddRef(ref held);
            var wanted = new pollfd { fd = (int)descriptor.DangerousGetHandle(), events = events };

            // SAFETY: one pollfd, which lives on this stack during the call.
            return LibC.poll(&wanted, 1, milliseconds) > 0 ? wanted.revents : (short)0;
        }
        finally
        {
            if (held)
            {
                descriptor.DangerousRelease();
            }
        }
    }
}

public static unsafe partial class LibC
{
    /// <summary>poll(2).</summary>
    [LibraryImport(Library)]
    public static partial int poll(pollfd* descriptors, nuint count, int milliseconds);
}
