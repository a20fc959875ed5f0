using System.Globalization;
using Dpu.Hosting.Configuration;
using Dpu.Proto.V1;
using Grpc.Core;

namespace Dpu.Runtime.Views;

/// <summary>What dpu-view is told to make a view (qtfs-bridge/native/view.h). Pure.</summary>
internal static class ViewPlan
{
    private const string NothingSeen = "size=4k,mode=0000";

    /// <summary>The arguments, without the program's name.</summary>
    /// <param name="view">What it is to be.</param>
    /// <param name="paths">Where it has its state.</param>
    /// <param name="mounts">The mounts of hosts.</param>
    /// <param name="secret">Files of the DPU's daemons that are to be hidden, and in which nothing of a view may lie.</param>
    /// <param name="stub">dpu-stub.</param>
    /// <exception cref="ViewException">It cannot be made, or not now.</exception>
    public static IReadOnlyList<string> Arguments(ViewConfiguration view, ViewPaths paths, IReadOnlyList<Mount> mounts, IReadOnlyList<string> secret, string stub)
    {
        List<string> steps = [view.Name, paths.Init, view.Hostname, Number(view.FirstPid), Number(view.BelowPid)];
        void Step(string kind, string target, string source, string flags) => steps.AddRange([kind, target, source, flags]);
        if (view.OwnNetwork)
        {
            Step("net", "", "", "");
        }

        if (view.Mounts.Any(mount => mount.Kind == ViewMountKind.Processes))
        {
            Step("procfs", paths.Processes, "", "");
        }

        if (view.Mounts.All(mount => mount.Target != "/proc"))
        {
            Step("proc", "/proc", "", "");
        }

        foreach (ViewMountConfiguration mount in view.Mounts)
        {
            bool isPrivate = view.Mounts.TakeWhile(other => other != mount).LastOrDefault(outer => DpuPaths.IsIn(mount.Target, outer.Target)) is { Kind: ViewMountKind.Memory or ViewMountKind.Folder };
            string flags = $"{(mount.ReadOnly ? "r" : "")}{(mount.AllowDev ? "d" : "")}{(mount.AllowSuid ? "s" : "")}{(isPrivate ? "m" : "")}";
            switch (mount.Kind)
            {
                case ViewMountKind.Memory:
                    Step("tmpfs", mount.Target, $"size={Number(mount.Size)},mode={Convert.ToString(mount.Mode, 8)}", flags);
                    break;
                case ViewMountKind.Processes:
                    Step("bind", mount.Target, paths.Merged, flags + "R");
                    break;
                default:
                    Step("bind", mount.Target, SourceOf(view, mount, mounts, secret), flags + (mount.Kind == ViewMountKind.File ? "f" : "R"));
                    break;
            }
        }

        foreach (ViewStubConfiguration one in view.Stubs)
        {
            Step("bind", one.Program, stub, "rl");
        }

        foreach (string folder in DpuPaths.Secret.Append(paths.Root))
        {
            Step("tmpfs", folder, NothingSeen, "ro");
        }

        // Stubs find the runtime here, and nothing else is there.
        Step("bind", DpuPaths.Sockets, paths.Stubs, "rRm");
        foreach (string file in secret)
        {
            Step("bind", file, paths.Nothing, "ro");
        }

        return steps;
    }

    private static string SourceOf(ViewConfiguration view, ViewMountConfiguration part, IReadOnlyList<Mount> mounts, IReadOnlyList<string> secret)
    {
        string place = string.Create(CultureInfo.InvariantCulture, $"{view.File}:{part.Line}: the view's \"{part.Target}\"");
        if (part.Kind != ViewMountKind.Mount)
        {
            return DpuPaths.SourceProblem(part.Source, secret) is { } problem ? throw new ViewException(StatusCode.FailedPrecondition, $"{place}: {problem}") : part.Source;
        }

        Mount mount = mounts.FirstOrDefault(mount => mount.Target == part.Source) ?? throw new ViewException(
            StatusCode.FailedPrecondition,
            $"{place}: no mount of a host is at \"{part.Source}\"; there are: {(mounts.Count > 0 ? string.Join(", ", mounts.Select(one => one.Target)) : "none")}. Add it to \"mounts\" in the runtime's configuration, or make it with 'dpuctl mount'");
        if (mount.State is not (MountState.Mounted or MountState.Disconnected))
        {
            throw new ViewException(
                StatusCode.Unavailable,
                $"{place}: the mount at \"{part.Source}\" does not stand yet: {(mount.LastError.Length > 0 ? mount.LastError : $"it waits for host '{mount.Host}'")}. Try again when 'dpuctl mounts' shows it mounted");
        }

        return part.Path.Length > 0 ? $"{part.Source}/{part.Path}" : part.Source;
    }

    private static string Number(long number) => number.ToString(CultureInfo.InvariantCulture);
}
