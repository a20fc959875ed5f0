// FUSE over io_uring, FUSE 7.42 (Linux 6.14): newer than the kernel headers of Debian 12 and its backports, so that
// tests/Dpu.Linux.Tests proves it against a header of its own where linux/fuse.h does not have it yet.
#pragma warning disable CA1707, CA1051, CA1815, CS1591, IDE1006, CS8981, CA1716

using Dpu.Linux;

namespace Dpu.Fuse.Wire;

/// <summary>Numbers of FUSE over io_uring.</summary>
[CConstants("linux/fuse.h dpu/fuse_uring.h")]
public static class FuseUringConstants
{
    /// <summary>FUSE_INIT: the kernel can, and the server will, use io_uring; requests then wait until each queue is there.</summary>
    public const ulong FUSE_OVER_IO_URING = 1UL << 41;
    public const int FUSE_URING_IN_OUT_HEADER_SZ = 128;
    public const int FUSE_URING_OP_IN_OUT_SZ = 128;
    public const uint FUSE_IO_URING_CMD_REGISTER = 1;
    public const uint FUSE_IO_URING_CMD_COMMIT_AND_FETCH = 2;
}

/// <summary>What is said of one request beside its own headers.</summary>
[CStruct("struct fuse_uring_ent_in_out", "linux/fuse.h dpu/fuse_uring.h")]
public struct fuse_uring_ent_in_out
{
    public ulong flags;

    /// <summary>The number to commit the request's answer with.</summary>
    public ulong commit_id;

    /// <summary>How much of the payload is used, in bytes.</summary>
    public uint payload_sz;
    public uint padding;
    public ulong reserved;
}

/// <summary>The headers of one request: struct fuse_in_header or fuse_out_header, the first argument, and what is said beside.</summary>
[CStruct("struct fuse_uring_req_header", "linux/fuse.h dpu/fuse_uring.h")]
public unsafe struct fuse_uring_req_header
{
    public fixed byte in_out[FuseUringConstants.FUSE_URING_IN_OUT_HEADER_SZ];
    public fixed byte op_in[FuseUringConstants.FUSE_URING_OP_IN_OUT_SZ];
    public fuse_uring_ent_in_out ring_ent_in_out;
}

/// <summary>The command in the upper half of a submission.</summary>
[CStruct("struct fuse_uring_cmd_req", "linux/fuse.h dpu/fuse_uring.h")]
public unsafe struct fuse_uring_cmd_req
{
    public ulong flags;
    public ulong commit_id;
    public ushort qid;
    public fixed byte padding[6];
}
