using System.Runtime.InteropServices;

namespace Dpu.Qtfs.Export.Mounting;

/// <summary>How far a change of this host's mounts is.</summary>
internal enum MountRecordState
{
    Free = 0,

    /// <summary>It has begun. Whether it was carried out <see cref="MountRecord.Mount"/> tells.</summary>
    Begun = 1,

    /// <summary>It has its result.</summary>
    Done = 2,
}

/// <summary>A change that a DPU has asked for, as the keeper has it: 64 bytes.</summary>
[StructLayout(LayoutKind.Sequential, Size = 64)]
internal struct MountRecord
{
    /// <summary>A <see cref="MountRecordState"/>; written last.</summary>
    public int State;

    /// <summary>A <see cref="Dpu.Proto.V1.MountChange"/>.</summary>
    public int Change;

    /// <summary>0 or a negated errno.</summary>
    public int Result;

    public int Reserved;

    /// <summary>Whose it is: of the peer's name.</summary>
    public ulong Peer;

    /// <summary>The token.</summary>
    public ulong TokenLow;

    public ulong TokenHigh;

    /// <summary>The mount's number: of one that is being made, once it is about to be put in its place; of one that is being unmounted. 0: not that far.</summary>
    public ulong Mount;

    /// <summary>Rises from one to the next.</summary>
    public long Sequence;
}

/// <summary>What a mount is that was made for a DPU.</summary>
internal enum MadeKind : uint
{
    /// <summary>A file system of its own.</summary>
    FileSystem = 0,

    /// <summary>Something of this host once more, whose file system is not the DPU's.</summary>
    Bind = 1,

    /// <summary>Something that was mounted below what was mounted once more, and came along.</summary>
    Part = 2,
}

/// <summary>A mount that was made for a DPU: 32 bytes.</summary>
[StructLayout(LayoutKind.Sequential, Size = 32)]
internal struct MadeMount
{
    /// <summary>Its number, 0 for a free place.</summary>
    public ulong Mount;

    /// <summary>Whose it is: of the peer's name.</summary>
    public ulong Peer;

    /// <summary>A <see cref="MadeKind"/>.</summary>
    public uint Kind;

    /// <summary>MS_RDONLY, MS_NOSUID, MS_NODEV and MS_NOEXEC as far as what is mounted had them: they stay.</summary>
    public uint Locked;
}
