// What dpu-run and the runtime say to each other, as qtfs-bridge/native/view.h has it, under its names; tests/Dpu.Linux.Tests compares them.
#pragma warning disable CA1707, CA1051, CA1815, CS1591, IDE1006, CS8981, CA1716, CA1008, CA1034

using Dpu.Linux;

namespace Dpu.Keeper;

/// <summary>Kinds of requests, and bounds.</summary>
[CConstants("dpu/view.h")]
public static class view
{
    public const int VIEW_VERSION = 1;
    public const int VIEW_NAME_MAX = 64;
    public const int VIEW_TEXT_MAX = 4096;
    public const int VIEW_FILTER_MAX = 512;
    public const int VIEW_JOIN = 1;
    public const int VIEW_LISTENER = 2;
}

/// <summary>What dpu-run asks.</summary>
[CStruct("struct view_request", "dpu/view.h")]
public unsafe struct view_request
{
    public uint version;
    public uint kind;
    public fixed byte name[view.VIEW_NAME_MAX];
}

/// <summary>What it is answered; a text or a filter follows.</summary>
[CStruct("struct view_answer", "dpu/view.h")]
public struct view_answer
{
    public uint version;
    public uint error;
    public uint namespaces;
    public uint instructions;
}
