namespace Dpu.Qtfs.Export.Mounting;

/// <summary>What is known of types of file systems. Pure.</summary>
public static class MountTypes
{
    /// <summary>The name that rules have for what is mounted once more.</summary>
    public const string Bind = "bind";

    /// <summary>The type whose options name directories.</summary>
    public const string Overlay = "overlay";

    // Their source is a word that is shown, and nothing else.
    private static readonly HashSet<string> s_sourceless = new(StringComparer.Ordinal)
    {
        Overlay, "tmpfs", "ramfs", "proc", "sysfs", "devpts", "mqueue", "cgroup", "cgroup2", "hugetlbfs", "devtmpfs", "debugfs", "tracefs", "securityfs", "bpf", "pstore", "configfs", "binfmt_misc", "fusectl",
    };

    // Options that are descriptors of the process that mounts, here the agent: no rule can permit them.
    private static readonly HashSet<string> s_never = new(StringComparer.Ordinal) { "fuse", "fuseblk", "autofs", "9p", "bind", "none" };

    // What can be said of memory that is limited by the host's own, and how it is shown.
    private static readonly Dictionary<string, string[]> s_harmless = new(StringComparer.Ordinal)
    {
        ["tmpfs"] = ["size", "nr_blocks", "nr_inodes", "mode", "uid", "gid"],
        ["ramfs"] = ["mode"],
        ["proc"] = ["hidepid", "subset", "gid"],
        ["devpts"] = ["newinstance", "ptmxmode", "mode", "uid", "gid", "max"],
        [Overlay] = ["index", "redirect_dir", "metacopy", "userxattr", "xino", "volatile", "nfs_export", "uuid"],
    };

    /// <summary>Why a rule cannot have a type; null where it can.</summary>
    public static string? Problem(string type) => type == Bind ? null
        : s_never.Contains(type) ? $"\"{type}\" cannot be mounted for a DPU: its options name descriptors of the process that mounts"
        : type.Length is 0 or > 64 || type.Any(letter => !char.IsAsciiLetterOrDigit(letter) && letter is not ('_' or '-' or '.')) ? $"\"{type}\" is no type of a file system"
        : null;

    /// <summary>Whether the source of a file system of that type means nothing.</summary>
    public static bool IsSourceless(string type) => s_sourceless.Contains(type);

    /// <summary>Whether an option may be given where a rule says nothing of options.</summary>
    /// <param name="type">The type.</param>
    /// <param name="option"><c>key</c> or <c>key=value</c>.</param>
    public static bool Harmless(string type, string option) => s_harmless.TryGetValue(type, out string[]? keys) && keys.Contains(option.Split('=', 2)[0], StringComparer.Ordinal);

    /// <summary>Whether an option's value names files.</summary>
    public static bool NamesFiles(string type, string key) => type == Overlay && key is ("lowerdir" or "upperdir" or "workdir" or "lowerdir+" or "datadir+");
}
