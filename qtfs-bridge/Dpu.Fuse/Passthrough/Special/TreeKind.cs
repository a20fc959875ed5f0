using Dpu.Linux;

namespace Dpu.Fuse;

/// <summary>What lies behind a file: data of a disk, or the kernel itself.</summary>
internal enum TreeKind : byte
{
    /// <summary>A file system that keeps what is written.</summary>
    Ordinary,

    /// <summary>
    /// The kernel answers each read and acts on each write: sysfs, debugfs and the like. Sizes say nothing, nothing may be
    /// kept, one write is one command, and who asks matters at each step.
    /// </summary>
    Kernel,

    /// <summary>As <see cref="Kernel"/>, where "0" written to a list of processes means the writer (cgroups(7), resctrl).</summary>
    Groups,

    /// <summary>As <see cref="Kernel"/>: procfs, which also shows the daemon itself.</summary>
    Processes,
}

/// <summary>Tells kinds of trees apart.</summary>
internal static class TreeKinds
{
    /// <summary>The kind of a file system, by its <c>f_type</c>. Pure.</summary>
    public static TreeKind Of(long type) => type switch
    {
        magic.PROC_SUPER_MAGIC => TreeKind.Processes,
        magic.CGROUP_SUPER_MAGIC or magic.CGROUP2_SUPER_MAGIC or magic.RDTGROUP_SUPER_MAGIC => TreeKind.Groups,
        magic.SYSFS_MAGIC or magic.DEBUGFS_MAGIC or magic.TRACEFS_MAGIC or magic.SECURITYFS_MAGIC or magic.SELINUX_MAGIC
            or magic.SMACK_MAGIC or magic.PSTOREFS_MAGIC or magic.EFIVARFS_MAGIC or magic.BINFMTFS_MAGIC or magic.BPF_FS_MAGIC => TreeKind.Kernel,
        _ => TreeKind.Ordinary,
    };

    /// <summary>The kind of an open file; takes O_PATH descriptors.</summary>
    public static unsafe int Find(int descriptor, out TreeKind kind)
    {
        statfs state;
        int error = LibC.Result(LibC.fstatfs(descriptor, &state));
        kind = error == 0 ? Of(state.f_type) : TreeKind.Ordinary;
        return error;
    }
}
