// What stub, runtime, agent and dpu-launch say to each other, as qtfs-bridge/native/process.h has it, under its names;
// tests/Dpu.Linux.Tests compares them.
#pragma warning disable CA1707, CA1051, CA1815, CS1591, IDE1006, CS8981, CA1716, CA1008, CA1034

using Dpu.Linux;

namespace Dpu.Keeper;

/// <summary>Kinds of frames, kinds of records, and bounds.</summary>
[CConstants("dpu/process.h")]
public static class process
{
    public const int PROCESS_FRAME_MAX = 16 << 20;
    public const int PROCESS_FRAME_DESCRIPTORS = 250;
    public const int PROCESS_TOKEN_SIZE = 16;

    public const ushort PROCESS_DESCRIPTORS = 1;
    public const ushort PROCESS_START = 2;
    public const ushort PROCESS_ATTACH = 3;
    public const ushort PROCESS_SIGNAL = 4;
    public const ushort PROCESS_JOB = 5;
    public const ushort PROCESS_STOOD = 8;
    public const ushort PROCESS_STARTED = 16;
    public const ushort PROCESS_REFUSED = 17;
    public const ushort PROCESS_ENDED = 18;
    public const ushort PROCESS_STOPPED = 19;
    public const ushort PROCESS_ATTACHED = 20;
    public const ushort PROCESS_CONTINUED = 21;
    public const ushort PROCESS_STAND_IN = 24;
    public const ushort PROCESS_FAILED = 32;

    public const ushort PROCESS_PROGRAM = 1;
    public const ushort PROCESS_ARGUMENT = 2;
    public const ushort PROCESS_ENVIRONMENT = 3;
    public const ushort PROCESS_DIRECTORY = 4;
    public const ushort PROCESS_IDENTITY = 5;
    public const ushort PROCESS_GROUPS = 6;
    public const ushort PROCESS_UMASK = 7;
    public const ushort PROCESS_LIMITS = 8;
    public const ushort PROCESS_CAPABILITIES = 9;
    public const ushort PROCESS_SIGNALS = 10;
    public const ushort PROCESS_OOM = 11;
    public const ushort PROCESS_SCHEDULING = 12;
    public const ushort PROCESS_SESSION = 13;
    public const ushort PROCESS_HOST = 14;
    public const ushort PROCESS_FLAGS = 15;
    public const ushort PROCESS_OWN_TERMINAL = 16;
    public const ushort PROCESS_CGROUP = 32;
    public const ushort PROCESS_TERMINAL = 33;
    public const ushort PROCESS_PROCESSORS = 34;
    public const ushort PROCESS_NODES = 35;

    public const uint PROCESS_NO_NEW_PRIVILEGES = 1;
    public const uint PROCESS_NEW_SESSION = 2;
    public const uint PROCESS_NEW_GROUP = 4;

    public const uint PROCESS_BACKGROUND = 0;
    public const uint PROCESS_FOREGROUND = 1;
    public const uint PROCESS_TO_GROUP = 2;
}

/// <summary>The head of a frame.</summary>
[CStruct("struct process_frame", "dpu/process.h")]
public struct process_frame
{
    public uint size;
    public ushort kind;
    public ushort reserved;
}

/// <summary>A signal that a stub got.</summary>
[CStruct("struct process_signal", "dpu/process.h")]
public struct process_signal
{
    public int signal;
    public int code;
    public int pid;
    public uint uid;
    public long value;
}

/// <summary>How a program stands to its terminal, and that one's size.</summary>
[CStruct("struct process_job", "dpu/process.h")]
public struct process_job
{
    public uint kind;
    public ushort rows;
    public ushort columns;
    public ushort width;
    public ushort height;
}

/// <summary>The head of a record.</summary>
[CStruct("struct process_record", "dpu/process.h")]
public struct process_record
{
    public ushort kind;
    public ushort reserved;
    public uint size;
}
