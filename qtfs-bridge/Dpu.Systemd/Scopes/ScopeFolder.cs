namespace Dpu.Systemd.Scopes;

/// <summary>Where the cgroup of a process's scope lies, as the kernel says.</summary>
internal static class ScopeFolder
{
    /// <summary>The directory of that scope if the process is in it; null where it is not, or no hierarchy of systemd's is mounted here.</summary>
    public static string? Find(int process, string unit)
    {
        try
        {
            // cgroups(7): number:controllers:path. systemd's are the one of v2, and the named one of v1; those of v2 can be killed at once.
            string? found = null;
            foreach (string line in File.ReadLines(string.Create(System.Globalization.CultureInfo.InvariantCulture, $"/proc/{process}/cgroup")))
            {
                string[] parts = line.Split(':', 3);
                if (parts.Length != 3 || Path.GetFileName(parts[2]) != unit)
                {
                    continue;
                }

                bool isTwo = parts is ["0", "", _];
                if ((isTwo || parts[1] == "name=systemd") && Mounted(isTwo, parts[2]) is { } folder)
                {
                    found = isTwo ? folder : found ?? folder;
                }
            }

            return found;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // Expected: the process has ended.
            return null;
        }
    }

    // proc(5): 36 35 98:0 ROOT PLACE OPTIONS TAGS - TYPE SOURCE SUPER-OPTIONS.
    private static string? Mounted(bool isTwo, string path)
    {
        foreach (string line in File.ReadLines("/proc/self/mountinfo"))
        {
            string[] parts = line.Split(' ');
            int separator = Array.IndexOf(parts, "-");
            if (separator < 6 || separator + 3 >= parts.Length
                || !(isTwo ? parts[separator + 1] == "cgroup2" : parts[separator + 1] == "cgroup" && parts[separator + 3].Split(',').Contains("name=systemd")))
            {
                continue;
            }

            string root = parts[3] == "/" ? "" : parts[3];
            string folder = path.StartsWith(root + "/", StringComparison.Ordinal) ? parts[4] + path[root.Length..] : "";
            if (folder.Length > 0 && Directory.Exists(folder))
            {
                return folder;
            }
        }

        return null;
    }
}
