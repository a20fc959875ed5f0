using System.Globalization;
using Dpu.Hosting.Machine;

namespace Dpu.HostAgent.Processes.Groups;

/// <summary>
/// Keeps what is in a control group on its processors and NUMA nodes, whatever the programs in it ask the kernel for: by the controller cpuset of the
/// group itself in v2, and by a group beside it where cpuset is a hierarchy of v1 (cpuset(7), cgroup-v2.rst). Without either nothing does.
/// </summary>
internal static class Cpuset
{
    private const string Controller = "cpuset";

    // Of v1; looked for once, for each start would read all mounts.
    private static readonly Lazy<string?> s_root = new(() => ProcessCgroup.RootOf(Controller));

    /// <summary>Where cpuset is a hierarchy of v1; null where it is not.</summary>
    public static string? Root => s_root.Value;

    /// <summary>Whether a group of v2 has its own processors, as one whose maker was asked for that.</summary>
    public static bool Holds(string folder)
    {
        try
        {
            return folder.Length > 0 && File.ReadAllText(Path.Combine(folder, "cpuset.cpus")).Trim().Length > 0;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // Expected where the controller is not switched on there, or is of v1.
            return false;
        }
    }

    /// <summary>Binds an empty group of v2, which lies below one of the agent's own.</summary>
    /// <param name="folder">Its directory.</param>
    /// <param name="place">To what.</param>
    /// <param name="reason">Why not.</param>
    public static bool TryBind(string folder, Placement place, out string reason)
    {
        try
        {
            string parent = Path.GetDirectoryName(folder)!;
            foreach (string above in (string[])[Path.GetDirectoryName(parent)!, parent])
            {
                if (!Words(Path.Combine(above, "cgroup.controllers")).Contains(Controller))
                {
                    reason = $"{above} has no controller {Controller}";
                    return false;
                }

                if (!Words(Path.Combine(above, "cgroup.subtree_control")).Contains(Controller))
                {
                    Write(above, "cgroup.subtree_control", $"+{Controller}");
                }
            }

            Write(folder, place);
            reason = "";
            return true;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // Expected where processes are in the group above, as in a container, or it is read-only.
            reason = e.Message;
            return false;
        }
    }

    /// <summary>Makes a group of v1 that binds; null where there is no such hierarchy, or it cannot be written.</summary>
    /// <param name="token">The process's name.</param>
    /// <param name="place">To what.</param>
    /// <param name="reason">Why not.</param>
    public static ProcessCgroup? TryMake(Guid token, Placement place, out string reason)
    {
        reason = $"no hierarchy of cgroups has the controller {Controller}";
        if (Root is not { } root)
        {
            return null;
        }

        string folder = ProcessCgroup.FolderOf(root, token.ToString("N", CultureInfo.InvariantCulture));
        try
        {
            // A group of v1 begins with nothing at all, and lets nobody in before it has both.
            _ = Directory.CreateDirectory(folder);
            string parent = Path.GetDirectoryName(folder)!;
            Write(parent, "cpuset.cpus", Read(root, "cpuset.cpus"));
            Write(parent, "cpuset.mems", Read(root, "cpuset.mems"));
            Write(folder, place.Nodes.Count > 0 ? place : place with { Nodes = NumberList.TryParse(Read(root, "cpuset.mems"), NumberList.MaxNodes) ?? [] });
            return new ProcessCgroup(folder, isTwo: false);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // Expected where the hierarchy is read-only, or its root has not all of that.
            reason = e.Message;
            _ = new ProcessCgroup(folder, isTwo: false).TryRemove();
            return null;
        }
    }

    /// <summary>The one that was made beside the group of that directory, or unit; null where there is none.</summary>
    public static ProcessCgroup? Find(string folder)
    {
        // dpu-TOKEN.scope, or TOKEN.
        string name = Path.GetFileNameWithoutExtension(folder).Replace("dpu-", "", StringComparison.Ordinal);
        return name.Length > 0 && Root is { } root && ProcessCgroup.FolderOf(root, name) is var beside && beside != folder && Directory.Exists(beside)
            ? new ProcessCgroup(beside, isTwo: false)
            : null;
    }

    private static void Write(string folder, Placement place)
    {
        Write(folder, "cpuset.cpus", NumberList.Format(place.Processors));
        if (place.Nodes.Count > 0)
        {
            Write(folder, "cpuset.mems", NumberList.Format(place.Nodes));
        }
    }

    private static string[] Words(string file) => File.ReadAllText(file).Split((char[])[' ', '\n'], StringSplitOptions.RemoveEmptyEntries);

    private static string Read(string folder, string file) => File.ReadAllText(Path.Combine(folder, file)).Trim();

    private static void Write(string folder, string file, string text) => File.WriteAllText(Path.Combine(folder, file), text);
}
