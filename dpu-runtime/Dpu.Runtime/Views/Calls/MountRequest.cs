using System.Text;
using Dpu.Linux;
using Dpu.Proto.V1;
using Dpu.Qtfs.Mount;
using Dpu.Runtime.Mounts;
using Google.Protobuf;

namespace Dpu.Runtime.Views.Calls;

/// <summary>What a call of mount(2) or umount2(2) asks of a host.</summary>
/// <param name="Mount">The mount of the host that its target lies in.</param>
/// <param name="Asked">For the host.</param>
/// <param name="Error">The errno with which it ends here; 0 where the host is asked.</param>
/// <param name="Reason">Why.</param>
internal sealed unsafe record MountRequest(RemoteMount Mount, ChangeMountRequest Asked, int Error = 0, string Reason = "")
{
    // mount(2): what it may be given at most.
    private const int MostData = 4096;
    private const uint Magic = 0xC0ED0000;
    private const int MostType = 64;
    private const uint Propagation = mount.MS_SHARED | mount.MS_SLAVE | mount.MS_PRIVATE | mount.MS_UNBINDABLE;

    /// <summary>Reads one of a caller that waits; null where it is this machine's kernel's to do, or to refuse.</summary>
    /// <param name="mounts">The mounts of hosts.</param>
    /// <param name="finder">Finds what is named.</param>
    /// <param name="kind">Mount or Umount.</param>
    /// <param name="call">It.</param>
    /// <param name="isValid">Whether the caller still waits; asked after its memory was read.</param>
    public static MountRequest? Read(MountManager mounts, PathFinder finder, CallKind kind, in seccomp_notif call, Func<bool> isValid)
    {
        bool isMount = kind == CallKind.Mount;
        byte[]? target = CallerMemory.ReadText(call.pid, call.data.args[isMount ? 1 : 0], limits.PATH_MAX);
        byte[]? source = isMount ? CallerMemory.ReadText(call.pid, call.data.args[0], limits.PATH_MAX) : [];
        byte[]? type = isMount ? CallerMemory.ReadText(call.pid, call.data.args[2], MostType) : [];
        ulong flags = call.data.args[isMount ? 3 : 1];
        flags = isMount && (flags & 0xFFFF0000) == Magic ? flags & 0xFFFF : flags;
        byte[]? data = isMount ? CallerMemory.ReadText(call.pid, call.data.args[4], MostData) : [];
        if (target is null || target.Length == 0 || !isValid())
        {
            return null;
        }

        int error = finder.Find(call.pid, target, follow: isMount || ((int)flags & mount.UMOUNT_NOFOLLOW) == 0, out FoundFile place);

        // What a mount of this machine begins with is this machine's to change: no host sees what is mounted over it.
        if (error < 0 || place.IsRoot || MountOf(mounts, place) is not { } there)
        {
            return null;
        }

        var asked = new ChangeMountRequest { Target = new HostFile { MountId = there.Id, Node = place.Node }, Flags = flags, Process = call.pid, Change = isMount ? ChangeOf(flags) : MountChange.Unmount };
        if (!isMount)
        {
            return new(there, asked);
        }

        if (asked.Change == MountChange.Unspecified)
        {
            return new(there, asked, errno.EINVAL, "a mount is not moved on a host: unmount it, and mount it in the new place");
        }

        // Bytes that are not text are none of a type or option that a host knows.
        asked.Type = Encoding.UTF8.GetString(type ?? []);
        asked.Source = ByteString.CopyFrom(source ?? []);
        bool isNew = asked.Change is MountChange.Mount or MountChange.Bind;
        if (isNew && source is { Length: > 0 } && (asked.Change == MountChange.Bind || source[0] == '/'))
        {
            asked.SourceFile = Find(mounts, finder, call.pid, source, there);
        }

        return asked.Change == MountChange.Bind && asked.SourceFile is null
            ? new(there, asked, source is { Length: > 0 } ? errno.EXDEV : errno.EINVAL, $"\"{Encoding.UTF8.GetString(source ?? [])}\" does not lie below a mount of that host, which could not have it")
            : asked.Change is MountChange.Mount or MountChange.Remount ? WithOptions(mounts, finder, call.pid, there, asked, data ?? [])
            : new(there, asked);
    }

    // As the kernel decides (path_mount in fs/namespace.c).
    private static MountChange ChangeOf(ulong flags) => (flags & (mount.MS_REMOUNT | mount.MS_BIND)) == (mount.MS_REMOUNT | mount.MS_BIND) ? MountChange.RemountBind
        : (flags & mount.MS_REMOUNT) != 0 ? MountChange.Remount
        : (flags & mount.MS_BIND) != 0 ? MountChange.Bind
        : (flags & Propagation) != 0 ? MountChange.Propagation
        : (flags & mount.MS_MOVE) != 0 ? MountChange.Unspecified
        : MountChange.Mount;

    private static MountRequest WithOptions(MountManager mounts, PathFinder finder, uint caller, RemoteMount there, ChangeMountRequest asked, byte[] data)
    {
        bool isOverlay = asked.Type == "overlay";
        foreach ((string key, byte[]? value) in MountData.Split(data, escapes: isOverlay))
        {
            var option = new MountOption { Key = ByteString.CopyFromUtf8(key) };
            asked.Options.Add(option);
            if (asked.Change == MountChange.Mount && isOverlay && value is not null && key is ("lowerdir" or "upperdir" or "workdir" or "lowerdir+" or "datadir+"))
            {
                IReadOnlyList<(byte[] Path, bool DataOnly)>? layers = key == "lowerdir" ? MountData.Layers(value) : [(MountData.Path(value), false)];
                if (layers is null)
                {
                    return new(there, asked, errno.EINVAL, "\"lowerdir\" has an empty part");
                }

                foreach ((byte[] path, bool dataOnly) in layers)
                {
                    if (Find(mounts, finder, caller, path, there) is not { } file)
                    {
                        return new(there, asked, errno.EXDEV, $"\"{Encoding.UTF8.GetString(path)}\" of \"{key}\" is not there, or does not lie below a mount of that host");
                    }

                    option.Layers.Add(new MountLayer { File = file, DataOnly = dataOnly });
                }
            }
            else if (value is not null)
            {
                option.Value = ByteString.CopyFrom(value);
            }
        }

        return new(there, asked);
    }

    private static HostFile? Find(MountManager mounts, PathFinder finder, uint caller, byte[] path, RemoteMount there) =>
        finder.Find(caller, path, follow: true, out FoundFile file) == 0 && MountOf(mounts, file) is { } mount && mount.Options.Host == there.Options.Host ? new HostFile { MountId = mount.Id, Node = file.Node } : null;

    // Mounts have minor numbers without a major one.
    private static RemoteMount? MountOf(MountManager mounts, in FoundFile file) => file.Node == 0 || file.Device >> 32 != 0 ? null : mounts.Find(file.Device);
}
