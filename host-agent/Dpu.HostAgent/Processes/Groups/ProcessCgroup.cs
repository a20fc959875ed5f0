using System.Globalization;
using Dpu.Linux;
using Microsoft.Win32.SafeHandles;

namespace Dpu.HostAgent.Processes.Groups;

/// <summary>
/// A cgroup for one process and what comes of it, so that all of it can be found and killed: of cgroup v2 where that is mounted (alone, or beside
/// v1), else of a v1 hierarchy whose groups only group. Without any there is none, and a process's children are their own.
/// </summary>
/// <param name="folder">Its directory.</param>
/// <param name="isTwo">Whether it is of v2.</param>
internal sealed class ProcessCgroup(string folder, bool isTwo) : IProcessGroup
{
    private const string Parent = "dpu-host-agent";

    // What forks while it is killed one by one is killed in the next round.
    private const int Tries = 3;
    private const int KillRounds = 200;
    private static readonly TimeSpan Abandoned = TimeSpan.FromHours(1);
    private static readonly TimeSpan KillInterval = TimeSpan.FromMilliseconds(10);

    // v1 hierarchies whose groups limit nothing unless they are told to.
    private static readonly string[] s_harmless = ["name=dpu", "pids", "freezer", "perf_event", "name=systemd"];

    /// <inheritdoc/>
    public string Name => folder;

    /// <inheritdoc/>
    public string Folder => folder;

    /// <inheritdoc/>
    public string Unit => "";

    /// <summary>Makes one; null where there is no such hierarchy, or it cannot be written.</summary>
    public static ProcessCgroup? TryMake(Guid token, out string reason)
    {
        reason = "no cgroup hierarchy is mounted";
        foreach ((string root, bool isTwo) in Roots().SelectMany(root => Enumerable.Repeat(root, Tries)))
        {
            string folder = FolderOf(root, token.ToString("N", CultureInfo.InvariantCulture));
            try
            {
                _ = Directory.CreateDirectory(folder);
                return new ProcessCgroup(folder, isTwo);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                // Expected where the hierarchy is read-only, as in a container, or another agent has just removed the parent, which was empty.
                reason = e.Message;
            }
        }

        return null;
    }

    /// <summary>The one that an earlier life has made; null where it is gone.</summary>
    public static ProcessCgroup? Find(string folder) =>
        folder.Length > 0 && Directory.Exists(folder) ? new ProcessCgroup(folder, File.Exists(Path.Combine(folder, "cgroup.kill")) || File.Exists(Path.Combine(folder, "cgroup.type"))) : null;

    /// <summary>The directory of a group of the agent's own.</summary>
    /// <param name="root">Where its hierarchy is mounted.</param>
    /// <param name="name">Its name.</param>
    public static string FolderOf(string root, string name) => Path.Combine(root, Parent, name);

    /// <summary>Where the v1 hierarchy of a controller is mounted; null where it is not.</summary>
    public static string? RootOf(string controller) => Hierarchies().Where(one => !one.IsTwo && one.Options.Contains(controller)).Select(one => one.Root).FirstOrDefault();

    /// <summary>Removes those that an agent has left which did not come back, if nothing is in them: a process enters its own within two minutes.</summary>
    public static void Sweep(DateTimeOffset now)
    {
        foreach ((string root, bool isTwo) in Cpuset.Root is { } cpusets ? Roots().Append((cpusets, false)) : Roots())
        {
            string parent = Path.Combine(root, Parent);
            foreach (string folder in Directory.Exists(parent) ? Directory.GetDirectories(parent) : [])
            {
                if (now - Directory.GetLastWriteTimeUtc(folder) > Abandoned)
                {
                    _ = new ProcessCgroup(folder, isTwo).TryRemove();
                }
            }
        }
    }

    /// <summary>What a process writes "0" into to enter it.</summary>
    public SafeFileHandle? TryOpen()
    {
        try
        {
            return File.OpenHandle(Path.Combine(folder, "cgroup.procs"), FileMode.Open, FileAccess.Write, FileShare.ReadWrite);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // Expected where somebody has removed it meanwhile.
            return null;
        }
    }

    /// <summary>Its directory, in which a process can begin (CLONE_INTO_CGROUP); null where it is of v1.</summary>
    public unsafe SafeFileHandle? TryOpenFolder()
    {
        if (!isTwo)
        {
            return null;
        }

        fixed (byte* path = System.Text.Encoding.UTF8.GetBytes(folder + "\0"))
        {
            // SAFETY: a NUL-terminated copy.
            int descriptor = LibC.Result(LibC.openat(fcntl.AT_FDCWD, path, fcntl.O_PATH | fcntl.O_DIRECTORY | fcntl.O_CLOEXEC, 0));
            return descriptor < 0 ? null : new SafeFileHandle(descriptor, ownsHandle: true);
        }
    }

    /// <summary>The processes in it.</summary>
    public IReadOnlyList<int> Processes()
    {
        try
        {
            return [.. File.ReadLines(Path.Combine(folder, "cgroup.procs")).Select(line => int.Parse(line, CultureInfo.InvariantCulture))];
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // Expected where it is gone.
            return [];
        }
    }

    /// <inheritdoc/>
    public string? Kill()
    {
        try
        {
            if (isTwo)
            {
                // At once, also what forks meanwhile (Linux 5.14).
                File.WriteAllText(Path.Combine(folder, "cgroup.kill"), "1");
                return null;
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // Expected of older kernels: then one by one.
        }

        using var never = new ManualResetEventSlim();
        for (int i = 0; i < KillRounds; i++)
        {
            IReadOnlyList<int> all = Processes();
            foreach (int process in all)
            {
                _ = LibC.kill(process, signal.SIGKILL);
            }

            if (all.Count == 0)
            {
                return null;
            }

            _ = never.Wait(KillInterval);
        }

        return $"{Processes().Count} processes do not end";
    }

    /// <inheritdoc/>
    public bool TryRemove()
    {
        try
        {
            Directory.Delete(folder);
            Directory.Delete(Path.GetDirectoryName(folder)!);
        }
        catch (IOException) when (!Directory.Exists(folder))
        {
            // Expected where other processes have theirs.
        }
        catch (DirectoryNotFoundException)
        {
            // Expected: somebody else has.
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // Expected while children of the process go on: the group is theirs then.
            return false;
        }

        return true;
    }

    private static IEnumerable<(string Root, bool IsTwo)> Roots()
    {
        (string Root, bool IsTwo, string[] Options)[] all = [.. Hierarchies()];
        foreach ((string root, _, _) in all.Where(one => one.IsTwo))
        {
            yield return (root, true);
        }

        foreach (string kind in s_harmless)
        {
            foreach ((string root, _, _) in all.Where(one => !one.IsTwo && one.Options.Contains(kind)))
            {
                yield return (root, false);
            }
        }
    }

    // proc(5): 36 35 98:0 ROOT PLACE OPTIONS TAGS - TYPE SOURCE SUPER-OPTIONS.
    private static IEnumerable<(string Root, bool IsTwo, string[] Options)> Hierarchies()
    {
        foreach (string line in File.ReadLines("/proc/self/mountinfo"))
        {
            string[] parts = line.Split(' ');
            int separator = Array.IndexOf(parts, "-");
            if (separator >= 5 && separator + 3 < parts.Length && parts[separator + 1] is "cgroup" or "cgroup2")
            {
                yield return (parts[4], parts[separator + 1] == "cgroup2", parts[separator + 3].Split(','));
            }
        }
    }
}
