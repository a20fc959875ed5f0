#pragma warning disable CA1707, CA1051, CA1815, CS1591, IDE1006, CS8981, CA1716
namespace Dpu.Linux;

/// <summary>Capabilities and the version of their calls.</summary>
[CConstants("linux/capability.h")]
public static class capability
{
    public const uint _LINUX_CAPABILITY_VERSION_3 = 0x20080522;
    public const int _LINUX_CAPABILITY_U32S_3 = 2;
    public const int CAP_CHOWN = 0;
    public const int CAP_DAC_OVERRIDE = 1;
    public const int CAP_DAC_READ_SEARCH = 2;
    public const int CAP_FOWNER = 3;
    public const int CAP_FSETID = 4;
    public const int CAP_SETGID = 6;
    public const int CAP_SETUID = 7;
    public const int CAP_SYS_ADMIN = 21;
    public const int CAP_SYS_RESOURCE = 24;
    public const int CAP_MKNOD = 27;
    public const int CAP_SETFCAP = 31;
}

/// <summary>Whose capabilities capget(2) and capset(2) mean; pid 0 is the calling thread.</summary>
[CStruct("struct __user_cap_header_struct", "linux/capability.h")]
public struct __user_cap_header_struct
{
    public uint version;
    public int pid;
}

/// <summary>32 capabilities; version 3 has two of these in a row.</summary>
[CStruct("struct __user_cap_data_struct", "linux/capability.h")]
public struct __user_cap_data_struct
{
    public uint effective;
    public uint permitted;
    public uint inheritable;
}

public static unsafe partial class LibC
{
    /// <summary>Reads this thread's capabilities into two structs.</summary>
    public static int capget(__user_cap_header_struct* header, __user_cap_data_struct* data) =>
        (int)syscall(SystemCallNumber.CapGet, (nint)header, (nint)data, 0, 0, 0, 0);

    /// <summary>Sets this thread's capabilities from two structs.</summary>
    public static int capset(__user_cap_header_struct* header, __user_cap_data_struct* data) =>
        (int)syscall(SystemCallNumber.CapSet, (nint)header, (nint)data, 0, 0, 0, 0);
}
