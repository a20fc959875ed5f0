#pragma warning disable CA1707, CA1051, CA1815, CS1591, IDE1006, CS8981, CA1716
using System.Runtime.InteropServices;

namespace Dpu.Linux;

/// <summary>Operations and events of epoll(7).</summary>
[CConstants("sys/epoll.h")]
public static class epoll
{
    public const int EPOLL_CLOEXEC = 0x80000;
    public const int EPOLL_CTL_ADD = 1;
    public const int EPOLL_CTL_DEL = 2;
    public const int EPOLL_CTL_MOD = 3;
    public const uint EPOLLIN = 0x1;
    public const uint EPOLLOUT = 0x4;
    public const uint EPOLLERR = 0x8;
    public const uint EPOLLHUP = 0x10;
    public const uint EPOLLRDHUP = 0x2000;
    public const uint EPOLLET = 0x80000000;
}

/// <summary>An event as x86-64 has it, without padding; the kernel's ABI of that architecture alone.</summary>
[CStruct("struct epoll_event", "sys/epoll.h", Architecture = "x64")]
[StructLayout(LayoutKind.Sequential, Pack = 1)]
public struct epoll_event_x64
{
    public uint events;
    public ulong data;
}

/// <summary>An event as every other architecture has it.</summary>
[CStruct("struct epoll_event", "sys/epoll.h", Architecture = "arm64")]
public struct epoll_event_arm64
{
    public uint events;
    public ulong data;
}

public static unsafe partial class LibC
{
    /// <summary>epoll_create1(2).</summary>
    [LibraryImport(Library)]
    public static partial int epoll_create1(int flags);

    /// <summary>epoll_ctl(2), in this machine's layout.</summary>
    public static int EpollControl(int epoll, int operation, int descriptor, uint events, ulong data)
    {
        if (MachineArchitecture.IsArm64)
        {
            var wide = new epoll_event_arm64 { events = events, data = data };
            return Result(epoll_ctl(epoll, operation, descriptor, &wide));
        }

        var narrow = new epoll_event_x64 { events = events, data = data };
        return Result(epoll_ctl(epoll, operation, descriptor, &narrow));
    }

    /// <summary>epoll_wait(2) into memory of <paramref name="count"/> times 16 bytes; read it with <see cref="EpollEvent"/>.</summary>
    /// <returns>How many, or a negated errno.</returns>
    public static int EpollWait(int epoll, void* events, int count, int milliseconds) => Result(epoll_wait(epoll, events, count, milliseconds));

    /// <summary>One of the events that <see cref="EpollWait"/> wrote.</summary>
    public static uint EpollEvent(void* events, int index, out ulong data)
    {
        if (MachineArchitecture.IsArm64)
        {
            epoll_event_arm64 wide = ((epoll_event_arm64*)events)[index];
            data = wide.data;
            return wide.events;
        }

        epoll_event_x64 narrow = ((epoll_event_x64*)events)[index];
        data = narrow.data;
        return narrow.events;
    }

    [LibraryImport(Library)]
    private static partial int epoll_ctl(int epoll, int operation, int descriptor, void* @event);

    [LibraryImport(Library)]
    private static partial int epoll_wait(int epoll, void* events, int count, int milliseconds);
}
