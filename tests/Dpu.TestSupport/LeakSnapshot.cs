namespace Dpu.TestSupport;

/// <summary>What this process holds at one moment: descriptors by what they refer to, named threads, mounts. Immutable.</summary>
internal sealed class LeakSnapshot
{
    private readonly Dictionary<string, int> counts;

    private LeakSnapshot(Dictionary<string, int> counts) => this.counts = counts;

    public static LeakSnapshot Take()
    {
        Dictionary<string, int> counts = [];
        void Add(string item) => counts[item] = counts.GetValueOrDefault(item) + 1;

        foreach (string descriptor in Directory.EnumerateFileSystemEntries("/proc/self/fd"))
        {
            if (ReadLink(descriptor) is { } target && Kind(target) is { } kind)
            {
                Add("descriptor " + kind);
            }
        }

        foreach (string task in Directory.EnumerateDirectories("/proc/self/task"))
        {
            // The runtime's own threads come and go as it pleases.
            if (ReadComm(task) is { } name && !name.StartsWith(".NET ", StringComparison.Ordinal))
            {
                Add("thread " + name);
            }
        }

        foreach (IGrouping<string, string> mount in MountTable.Targets().GroupBy(t => t))
        {
            counts[MountTable.Describe(mount.Key, mount.Count())] = 1;
        }

        return new LeakSnapshot(counts);
    }

    /// <summary>What is there now and was not in <paramref name="before"/>, with how many more.</summary>
    public IReadOnlyList<string> Since(LeakSnapshot before) =>
        [.. counts.Select(c => (c.Key, More: c.Value - before.counts.GetValueOrDefault(c.Key)))
            .Where(c => c.More > 0)
            .OrderBy(c => c.Key, StringComparer.Ordinal)
            .Select(c => c.More == 1 ? c.Key : $"{c.Key} (+{c.More})")];

    // Inode numbers differ each time, so a pipe counts as "pipe". The descriptor of this very listing is gone at once.
    private static string? Kind(string target)
    {
        if (target.StartsWith("/proc/", StringComparison.Ordinal) && target.EndsWith("/fd", StringComparison.Ordinal))
        {
            return null;
        }

        int colon = target.IndexOf(':', StringComparison.Ordinal);
        return target[0] != '/' && colon > 0 && !target.StartsWith("anon_inode", StringComparison.Ordinal) ? target[..colon] : target;
    }

    private static string? ReadLink(string path)
    {
        try
        {
            return new FileInfo(path).LinkTarget;
        }
        catch (IOException)
        {
            // Expected: closed between listing and reading.
            return null;
        }
    }

    private static string? ReadComm(string task)
    {
        try
        {
            return File.ReadAllText(Path.Combine(task, "comm")).TrimEnd('\n');
        }
        catch (IOException)
        {
            // Expected: the thread ended between listing and reading.
            return null;
        }
    }
}
