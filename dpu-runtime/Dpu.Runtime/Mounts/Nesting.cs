namespace Dpu.Runtime.Mounts;

/// <summary>
/// Which mount lies inside which: an outer one must stand before an inner one is made on it, and can go only after it. By
/// their paths as they are written. Pure.
/// </summary>
internal static class Nesting
{
    /// <summary>Whether a directory lies strictly below another one.</summary>
    public static bool IsBelow(string directory, string other) =>
        directory.Length > other.Length && directory.StartsWith(other, StringComparison.Ordinal) && (other.EndsWith('/') || directory[other.Length] == '/');

    /// <summary>Each after those that lie inside of it.</summary>
    public static IEnumerable<MountEntry> InnermostFirst(IEnumerable<MountEntry> entries) =>
        entries.OrderByDescending(entry => entry.Options.Target.Length);
}
