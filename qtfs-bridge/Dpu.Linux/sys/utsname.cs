#pragma warning disable CA1707, CA1051, CA1815, CS1591, IDE1006, CS8981, CA1716
using System.Runtime.InteropServices;

namespace Dpu.Linux;

/// <summary>What uname(2) says; each text ends with a NUL.</summary>
[CStruct("struct utsname", "sys/utsname.h")]
public unsafe struct utsname
{
    public fixed byte sysname[65];
    public fixed byte nodename[65];
    public fixed byte release[65];
    public fixed byte version[65];
    public fixed byte machine[65];
    public fixed byte domainname[65];
}

public static unsafe partial class LibC
{
    [LibraryImport(Library)]
    public static partial int uname(utsname* name);
}
