namespace Dpu.Qtfs.Mount;

/// <summary>How the kernel's requests come.</summary>
public enum MountTransport
{
    /// <summary>By reading /dev/fuse: one request at a time for each lane. Works everywhere.</summary>
    Fuse,

    /// <summary>By io_uring: many at a time. Where it cannot be had, as <see cref="Fuse"/>, with a line in the log.</summary>
    IoUring,
}
