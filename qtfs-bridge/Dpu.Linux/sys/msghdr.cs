#pragma warning disable CA1707, CA1051, CA1815, CS1591, IDE1006, CS8981, CA1716
using System.Runtime.InteropServices;

namespace Dpu.Linux;

/// <summary>Flags of send(2) and recv(2).</summary>
[CConstants("sys/socket.h")]
public static class msg_flags
{
    public const int MSG_PEEK = 0x2;
    public const int MSG_CTRUNC = 0x8;
    public const int MSG_TRUNC = 0x20;
    public const int MSG_DONTWAIT = 0x40;
    public const int MSG_NOSIGNAL = 0x4000;
    public const int MSG_CMSG_CLOEXEC = 0x40000000;
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

/// <summary>The head of what comes beside a message's bytes (cmsg(3)); its data follow.</summary>
[CStruct("struct cmsghdr", "sys/socket.h")]
public struct cmsghdr
{
    public nuint cmsg_len;
    public int cmsg_level;
    public int cmsg_type;
}

/// <summary>One descriptor beside a message (unix(7), SCM_RIGHTS): the macros of cmsg(3) for that case.</summary>
[CConstants("sys/socket.h")]
public static unsafe class cmsg
{
    public const int SCM_RIGHTS = 1;
    public const int SCM_CREDENTIALS = 2;

    /// <summary>CMSG_SPACE of so many descriptors.</summary>
    public static int SpaceOf(int descriptors) => (sizeof(cmsghdr) + (descriptors * sizeof(int)) + sizeof(nuint) - 1) & ~(sizeof(nuint) - 1);

    /// <summary>Writes descriptors; how many bytes of <paramref name="control"/>, which has <see cref="SpaceOf"/>.</summary>
    public static int PutDescriptors(byte* control, ReadOnlySpan<int> descriptors)
    {
        int space = SpaceOf(descriptors.Length);
        new Span<byte>(control, space).Clear();
        *(cmsghdr*)control = new cmsghdr { cmsg_len = (nuint)(sizeof(cmsghdr) + (descriptors.Length * sizeof(int))), cmsg_level = sys_socket.SOL_SOCKET, cmsg_type = SCM_RIGHTS };
        descriptors.CopyTo(new Span<int>(control + sizeof(cmsghdr), descriptors.Length));
        return space;
    }

    /// <summary>CMSG_SPACE(sizeof(struct ucred)).</summary>
    public static int SpaceOfCredentials => (sizeof(cmsghdr) + sizeof(ucred) + sizeof(nuint) - 1) & ~(sizeof(nuint) - 1);

    /// <summary>Writes who a message is from (unix(7), SCM_CREDENTIALS).</summary>
    /// <param name="control"><see cref="SpaceOfCredentials"/> bytes.</param>
    /// <param name="credentials">What the kernel checks the sender for: its own, unless it is privileged.</param>
    public static void PutCredentials(byte* control, ucred credentials)
    {
        new Span<byte>(control, SpaceOfCredentials).Clear();
        *(cmsghdr*)control = new cmsghdr { cmsg_len = (nuint)(sizeof(cmsghdr) + sizeof(ucred)), cmsg_level = sys_socket.SOL_SOCKET, cmsg_type = SCM_CREDENTIALS };
        *(ucred*)(control + sizeof(cmsghdr)) = credentials;
    }

    /// <summary>Who a message is from; false where that did not come first with it.</summary>
    public static bool TryTakeCredentials(msghdr* message, out ucred credentials)
    {
        var head = (cmsghdr*)message->msg_control;
        bool there = message->msg_controllen >= (nuint)(sizeof(cmsghdr) + sizeof(ucred)) && head->cmsg_level == sys_socket.SOL_SOCKET
            && head->cmsg_type == SCM_CREDENTIALS && head->cmsg_len >= (nuint)(sizeof(cmsghdr) + sizeof(ucred));
        credentials = there ? *(ucred*)(head + 1) : default;
        return there;
    }

    /// <summary>CMSG_SPACE(sizeof(int)): a multiple of the machine's word.</summary>
    public static int SpaceOfDescriptor => (sizeof(cmsghdr) + sizeof(int) + sizeof(nuint) - 1) & ~(sizeof(nuint) - 1);

    /// <summary>Writes it.</summary>
    /// <param name="control"><see cref="SpaceOfDescriptor"/> bytes.</param>
    /// <param name="descriptor">The descriptor.</param>
    public static void PutDescriptor(byte* control, int descriptor)
    {
        new Span<byte>(control, SpaceOfDescriptor).Clear();
        *(cmsghdr*)control = new cmsghdr { cmsg_len = (nuint)(sizeof(cmsghdr) + sizeof(int)), cmsg_level = sys_socket.SOL_SOCKET, cmsg_type = SCM_RIGHTS };
        *(int*)(control + sizeof(cmsghdr)) = descriptor;
    }

    /// <summary>The descriptor that came with a message; -1 for none.</summary>
    public static int TakeDescriptor(msghdr* message)
    {
        var head = (cmsghdr*)message->msg_control;
        return message->msg_controllen >= (nuint)(sizeof(cmsghdr) + sizeof(int)) && head->cmsg_level == sys_socket.SOL_SOCKET
            && head->cmsg_type == SCM_RIGHTS && head->cmsg_len >= (nuint)(sizeof(cmsghdr) + sizeof(int))
            ? *(int*)(head + 1)
            : -1;
    }
}

public static unsafe partial class LibC
{
    /// <summary>recvmsg(2).</summary>
    [LibraryImport(Library)]
    public static partial nint recvmsg(int socket, msghdr* message, int flags);

    /// <summary>sendmsg(2).</summary>
    [LibraryImport(Library)]
    public static partial nint sendmsg(int socket, msghdr* message, int flags);

    /// <summary>recv(2).</summary>
    [LibraryImport(Library)]
    public static partial nint recv(int socket, void* buffer, nuint size, int flags);
}
