using System.Runtime.InteropServices;
using Dpu.Fuse.Wire;

namespace Dpu.Fuse;

/// <summary>How a <see cref="FuseDispatcher"/> serves one connection. Copied when the dispatcher is constructed.</summary>
public sealed class FuseDispatcherOptions
{
    /// <summary>The most data of one write, in bytes: a multiple of 4096 up to <see cref="FuseLimits.MaxWrite"/>.</summary>
    public uint MaxWrite { get; init; } = FuseLimits.MaxWrite;

    /// <summary>The peer's architecture, x64 or arm64, in whose numbers open flags arrive.</summary>
    public Architecture PeerArchitecture { get; init; } = RuntimeInformation.ProcessArchitecture;

    /// <summary>The peer's page size in bytes, the unit of <c>max_pages</c>: 4, 16 or 64 KiB.</summary>
    public uint PeerPageSize { get; init; } = 4096;

    /// <summary>The features to ask for, a part of <see cref="FuseFeatures.Known"/>; the file system may remove some.</summary>
    public ulong Features { get; init; } = FuseFeatures.Default;

    /// <summary>The most asynchronous requests (read-ahead, direct I/O) that the kernel has under way; it stops reading ahead at three quarters.</summary>
    public ushort MaxBackground { get; init; } = 64;

    /// <summary>Where set, the connection was negotiated before and FUSE_INIT is not awaited.</summary>
    public FuseNegotiation? Resume { get; init; }

    /// <summary>
    /// Told of an exception that came out of the file system: a bug, after which the request was answered with EIO.
    /// Called on the request's thread; exceptions of its own are dropped.
    /// </summary>
    public Action<fuse_opcode, ulong, Exception>? OnBug { get; init; }
}
