namespace Dpu.Hosting.Configuration;

/// <summary>Who keeps the locks of a mount's files.</summary>
public enum LockKeeper
{
    /// <summary>The host: locks are in conflict with those of its programs and of other mounts.</summary>
    Host,

    /// <summary>The DPU's kernel: nobody else sees them.</summary>
    Local,
}
