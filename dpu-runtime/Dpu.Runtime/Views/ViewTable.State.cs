using System.Text;
using Dpu.Hosting.Configuration;
using Dpu.Linux;
using Dpu.Proto.V1;
using Dpu.Qtfs.Mount;
using Dpu.Runtime.Mounts;
using Dpu.Runtime.Views.Calls;
using Google.Protobuf.WellKnownTypes;

namespace Dpu.Runtime.Views;

// What a view has on the DPU beside its namespaces, and how it is shown.
public sealed partial class ViewTable
{
    /// <summary>Files of the daemons that no view sees.</summary>
    private IReadOnlyList<string> Secret =>
    [
        .. new[] { _configurationFile, _configuration!.Tls?.Key, _configuration.Control.Socket, _configuration.Keeper.Socket, Socket, _configuration.StubSocket }
            .OfType<string>().Where(file => file.StartsWith('/')).Distinct(StringComparer.Ordinal),
    ];

    private static void Prepare(ViewPaths paths, string file)
    {
        RemoveFolder(paths);
        foreach (string folder in (string[])[paths.Folder, paths.Stubs, paths.Processes, paths.Merged])
        {
            _ = Directory.CreateDirectory(folder);

            // Its users' stubs come here, whatever the runtime's umask is.
            File.SetUnixFileMode(folder, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute | UnixFileMode.GroupRead | UnixFileMode.GroupExecute | UnixFileMode.OtherRead | UnixFileMode.OtherExecute);
        }

        File.Copy(file, paths.Made, overwrite: true);
        File.SetLastWriteTimeUtc(paths.Made, TimeProvider.System.GetUtcNow().UtcDateTime);
        File.WriteAllBytes(paths.Nothing, []);
        File.SetUnixFileMode(paths.Nothing, UnixFileMode.None);
    }

    private static void RemoveFolder(ViewPaths paths)
    {
        if (Directory.Exists(paths.Folder))
        {
            Directory.Delete(paths.Folder, recursive: true);
        }
    }

    private void MountProcesses(ViewConfiguration configuration, ViewPaths paths)
    {
        ViewMountConfiguration part = configuration.Mounts.Single(mount => mount.Kind == ViewMountKind.Processes);
        _ = _mounts.Create(new RemoteMountOptions
        {
            Host = part.Source,
            Export = part.Path,
            Target = paths.Merged,
            ReadOnly = part.ReadOnly,
            OwnProcesses = true,
            ProcessFolder = paths.Processes,
            Lanes = MountConfiguration.DefaultLanes,
            GiveUpAfter = MountConfiguration.DefaultGiveUpAfter,
        });
    }

    // Under its gate; its first process has ended.
    private void End(RuntimeView view)
    {
        _ = _views.TryRemove(KeyValuePair.Create(view.Configuration.Name, view));
        view.End();
        Clean(view.Paths);
        Log.ViewEnded(_logger, view.Configuration.Name);
    }

    private void Clean(ViewPaths paths)
    {
        _keeping.DropAll($"view/{paths.Name}/");
        try
        {
            if (_mounts.All.Any(mount => mount.Target == paths.Merged))
            {
                _mounts.Delete(mount => mount.Target == paths.Merged, lazy: true, recursive: true, paths.Merged);
            }

            Detach(paths.Processes);
            RemoveFolder(paths);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or MountException)
        {
            Log.NotCleaned(_logger, paths.Name, e.Message);
        }
    }

    private static unsafe void Detach(string target)
    {
        fixed (byte* path = Encoding.UTF8.GetBytes(target + '\0'))
        {
            // SAFETY: a NUL-terminated string, pinned. Where nothing is mounted it fails.
            while (LibC.umount2(path, mount.MNT_DETACH | mount.UMOUNT_NOFOLLOW) == 0)
            {
            }
        }
    }

    private View Describe(string name)
    {
        string file = FileOf(name);
        var message = new View { Name = "views/" + name, File = file, State = ViewState.Absent, Socket = Socket ?? "" };
        ConfigurationResult<ViewConfiguration>? read = File.Exists(file) ? ViewConfiguration.Load(file) : null;
        message.Problem = read is { Succeeded: false } ? string.Join("; ", read.Errors.Take(3)) : "";
        _ = _views.TryGetValue(name, out RuntimeView? view);
        if (view is { Init.IsAlive: false })
        {
            view = null;
        }

        ViewConfiguration? shown = view?.Configuration ?? read?.Configuration;
        if (shown is not null)
        {
            message.Hostname = shown.Hostname;
            IReadOnlyDictionary<string, string> devices = view is null ? new Dictionary<string, string>() : Devices(view.Init.Process);
            message.Mounts.AddRange(shown.Mounts.Select(part => ToMessage(part, view, devices)));
        }

        if (view is not null)
        {
            message.State = message.Mounts.Any(part => part.Problem.Length > 0) ? ViewState.Stale : ViewState.Ready;
            message.InitPid = view.Init.Process;
            message.Processes = view.Init.Others().Count;
            message.CreateTime = Timestamp.FromDateTimeOffset(view.Since);
            message.Changed = HasChanged(view.Paths.Made, file);
            message.Calls.AddRange(view.Counts.All.Select(one => new ViewCall { Name = one.Name, Intercepted = (ulong)one.Intercepted, Done = (ulong)one.Done, Failed = (ulong)one.Failed }));
        }

        return message;
    }

    private ViewMount ToMessage(ViewMountConfiguration part, RuntimeView? view, IReadOnlyDictionary<string, string> devices)
    {
        var message = new ViewMount { Target = part.Target, ReadOnly = part.ReadOnly, Source = SourceText(part) };
        string? mounted = part.Kind switch { ViewMountKind.Mount => part.Source, ViewMountKind.Processes => view?.Paths.Merged, _ => null };
        if (view is not null && mounted is not null)
        {
            // The device of the DPU's own mount, which the view's shares as long as it is the same.
            string? now = Devices(Environment.ProcessId).GetValueOrDefault(mounted);
            message.Problem = now is null ? $"nothing is mounted at {mounted} on the DPU any more"
                : devices.GetValueOrDefault(part.Target) != now ? $"{mounted} was mounted again on the DPU since: delete the view and create it, to have it too" : "";
        }

        return message;
    }

    private static string SourceText(ViewMountConfiguration part) => part.Kind switch
    {
        ViewMountKind.Memory => $"memory, {part.Size >> 10} KiB",
        ViewMountKind.Processes => $"processes, {part.Source}:{part.Path}",
        _ => part.Path.Length > 0 ? $"{part.Source}/{part.Path}" : part.Source,
    };

    // proc(5): what can be seen where, by device: of several mounts on a target that which no other one is mounted on. Their order says nothing.
    private static Dictionary<string, string> Devices(int process)
    {
        Dictionary<string, string> found = new(StringComparer.Ordinal);
        try
        {
            foreach (IGrouping<string, string[]> mounts in File.ReadLines($"/proc/{process}/mountinfo").Select(line => line.Split(' ')).Where(parts => parts.Length > 4).GroupBy(parts => parts[4]))
            {
                string[] top = mounts.FirstOrDefault(one => !mounts.Any(other => other[1] == one[0])) ?? mounts.Last();
                found[mounts.Key.Replace("\\040", " ", StringComparison.Ordinal)] = top[2];
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // Expected: it has ended.
        }

        return found;
    }

    private static bool HasChanged(string made, string file)
    {
        try
        {
            return !File.ReadAllBytes(made).AsSpan().SequenceEqual(File.Exists(file) ? File.ReadAllBytes(file) : []);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // Expected where it is just being written.
            return true;
        }
    }
}
