// The protocol of dpu-keeper as qtfs-bridge/native/keeper.h has it, under its names; tests/Dpu.Linux.Tests compares them.
#pragma warning disable CA1707, CA1051, CA1815, CS1591, IDE1006, CS8981, CA1716, CA1008

using Dpu.Linux;

namespace Dpu.Keeper;

/// <summary>Versions, bounds, operations and flags.</summary>
[CConstants("dpu/keeper.h")]
internal static class keeper
{
    public const int KEEPER_NAME_MAX = 255;
    public const int KEEPER_NOTE_MAX = 4096;
    public const int KEEPER_MESSAGE_MAX = 65536;

    public const ushort KEEPER_HELLO = 1;
    public const ushort KEEPER_PUT = 2;
    public const ushort KEEPER_GET = 3;
    public const ushort KEEPER_DROP = 4;
    public const ushort KEEPER_LIST = 5;
    public const ushort KEEPER_MEMORY = 6;
    public const ushort KEEPER_STATUS = 7;
    public const ushort KEEPER_RUN = 8;
    public const ushort KEEPER_WATCH = 9;

    public const uint KEEPER_NEW = 1;
    public const uint KEEPER_PREFIX = 2;
    public const uint KEEPER_MADE = 4;
    public const uint KEEPER_QUIET = 8;
    public const uint KEEPER_IS_PROCESS = 16;
    public const uint KEEPER_BORN = 32;

    public const uint KEEPER_NOTE_ALONE = 0;
    public const uint KEEPER_DESCRIPTOR = 1;
    public const uint KEEPER_SHARED_MEMORY = 2;
    public const uint KEEPER_PROCESS = 3;

    public const ulong KEEPER_RUNS = 1;
    public const ulong KEEPER_BEARS = 2;
    public const ulong KEEPER_ENDED = 1UL << 63;
}

/// <summary>The head of a request and of an answer.</summary>
[CStruct("struct keeper_message", "dpu/keeper.h")]
internal struct keeper_message
{
    public ushort header;
    public ushort operation;
    public uint flags;
    public int error;
    public uint name;
    public uint note;
    public uint reserved;
    public ulong tag;
    public ulong size;
}

/// <summary>The head of an entry in a list.</summary>
[CStruct("struct keeper_item", "dpu/keeper.h")]
internal struct keeper_item
{
    public ushort name;
    public ushort note;
    public uint kind;
    public ulong size;
}

/// <summary>What a keeper says of itself.</summary>
[CStruct("struct keeper_status", "dpu/keeper.h")]
internal unsafe struct keeper_status
{
    public fixed byte instance[16];
    public ulong features;
    public ulong started;
    public ulong requests;
    public ulong refused;
    public ulong entries;
    public ulong entries_max;
    public ulong memory;
    public ulong memory_max;
    public ulong clients;
    public ulong closing;
}
