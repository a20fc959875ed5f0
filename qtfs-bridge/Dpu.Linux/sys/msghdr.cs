#pragma warning disable CA1707, CA1051, CA1815, CS1591, IDE1006, CS8981, CA1716
using System.Runtime.InteropServices;

namespace Dpu.Linux;

/// <summary>Flags of send(2) and recv(2).</summary>
[CConstants("sys/socket.h")]
public static class msg_flags
{
    public const int MSG_DONTWAIT = 0x40;
    public const int MSG_NOSIGNAL = 0x4000;
}

/// <summary>A message of sendmsg(2).</summary>
[CStruct("struct msghdr", "sys/socket.h")]
public unsafe struct msghdr
{
    public void* msg_name;
    public uint msg_namelen;
    public iovec* msg_iov;
    public nuint msg_iovlen;
    public void* msg_control;
    public nuint msg_controllen;
    public int msg_flags;
}

public static unsafe partial class LibC
{
    /// <summary>sendmsg(2).</summary>
    [LibraryImport(Library)]
    public static partial nint sendmsg(int socket, msghdr* message, int flags);

    /// <summary>recv(2).</summary>
    [LibraryImport(Library)]
    public static partial nint recv(int socket, void* buffer, nuint size, int flags);
}
