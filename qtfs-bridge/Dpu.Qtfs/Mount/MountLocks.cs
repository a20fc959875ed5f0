namespace Dpu.Qtfs.Mount;

/// <summary>Who keeps the locks of files of a mount.</summary>
public enum MountLocks
{
    /// <summary>The host where it can, else the DPU.</summary>
    HostIfSupported,

    /// <summary>The host: they are in conflict with those of its programs and of other mounts. A host that cannot is refused.</summary>
    Host,

    /// <summary>The DPU's kernel: nobody else sees them.</summary>
    Local,
}
