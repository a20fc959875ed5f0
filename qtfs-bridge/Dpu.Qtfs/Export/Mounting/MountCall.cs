using System.Diagnostics;
using System.Text;
using Dpu.Fuse;
using Dpu.Linux;
using Dpu.Proto.V1;
using Microsoft.Extensions.Logging;
using Microsoft.Win32.SafeHandles;

namespace Dpu.Qtfs.Export.Mounting;

/// <summary>One change of this machine's mounts that a DPU has asked for: checks it against the export's rules, and does it. On a thread of its own.</summary>
/// <param name="peer">Who asks.</param>
/// <param name="asked">What.</param>
/// <param name="target">Where.</param>
/// <param name="ledger">What was made for whom.</param>
/// <param name="slot">The call's, there.</param>
/// <param name="beside">Finds another mount of the session.</param>
/// <param name="letGo">Lets go of a mount that is to end; false where a DPU has a file open there.</param>
/// <param name="logger">The log.</param>
internal sealed class MountCall(
    string peer, ChangeMountRequest asked, MountPlace target, MountLedger ledger, int slot, Func<ulong, ExportedMount?> beside, Func<ulong, bool> letGo, ILogger logger) : IDisposable
{
    // A file that a program of the DPU has closed is closed here a moment later.
    private static readonly TimeSpan BusyLimit = TimeSpan.FromMilliseconds(500);
    private static readonly TimeSpan BusyInterval = TimeSpan.FromMilliseconds(10);

    private readonly ulong _peer = MountLedger.HashOf(peer);
    private readonly List<MountPlace> _places = [];

    // Sources that are not in the target's export.
    private readonly List<byte[]> _sources = [];

    /// <summary>Why it was refused or has failed; empty where it was done.</summary>
    public string Reason { get; private set; } = "";

    /// <summary>Does it.</summary>
    /// <returns>0 or a negated errno.</returns>
    public int Do()
    {
        ExportDefinition export = target.Mount.Export;
        int result = export.Processes ? Refuse(errno.EPERM, "nothing is mounted in an export of kind \"proc\"")
            : target.Mount.ReadOnly && asked.Change != MountChange.Unmount ? Refuse(errno.EROFS, "the export is read-only")
            : asked.Change switch
            {
                MountChange.Mount => Mount(),
                MountChange.Bind => Bind(),
                MountChange.Remount or MountChange.RemountBind or MountChange.Propagation => Change(),
                MountChange.Unmount => Unmount(),
                _ => Refuse(errno.EINVAL, "this agent does not know that change of a mount; update it"),
            };
        if (result is -errno.EPERM or -errno.EROFS)
        {
            Log.MountRefused(logger, peer, asked.Process, asked.Change, target.Text, export.Name, Reason);
        }
        else if (result < 0)
        {
            Log.MountFailed(logger, peer, asked.Process, asked.Change, target.Text, export.Name, -result, Reason);
        }

        return result;
    }

    /// <inheritdoc/>
    public void Dispose() => _places.ForEach(place => place.Dispose());

    private int Mount()
    {
        string type = asked.Type;
        if ((type == MountTypes.Bind ? "that is no file system" : MountTypes.Problem(type)) is { } problem)
        {
            return Refuse(errno.ENODEV, problem);
        }

        List<(string Key, byte[]? Value, SafeFileHandle? File)> options = [];
        List<string> texts = [];
        int error = Source(type, options);
        foreach (MountOption option in asked.Options)
        {
            string key = option.Key.ToStringUtf8();
            if (error < 0)
            {
                return error;
            }

            if (MountTypes.NamesFiles(type, key))
            {
                error = Layers(key, option, options);
                continue;
            }

            options.Add((key, option.HasValue ? option.Value.ToByteArray() : null, null));
            texts.Add(option.HasValue ? $"{key}={option.Value.ToStringUtf8()}" : key);
        }

        if (error < 0)
        {
            return error;
        }

        if (target.Mount.Export.Mounts.Find(target.Path, type, texts, _sources, out string missing) is not { } rule)
        {
            return Refuse(errno.EPERM, missing);
        }

        ulong flags = (asked.Flags & (KernelMounter.MountFlags | KernelMounter.FileSystemFlags)) | Forced(rule);
        error = KernelMounter.Make(type, options, flags, out SafeFileHandle? made, out string words);
        using (made)
        {
            return error < 0 ? Refuse(-error, words) : Attach(made!, MadeKind.FileSystem, locked: 0, $"{type} ({asked.Source.ToStringUtf8()})", rule);
        }
    }

    private int Bind()
    {
        int error = Open(asked.SourceFile, out MountPlace? source);
        if (error < 0)
        {
            return Refuse(-error, "what is to be mounted is gone, or outside of the exports");
        }

        if (target.Mount.Export.Mounts.Find(target.Path, MountTypes.Bind, [], _sources, out string missing) is not { } rule)
        {
            return Refuse(errno.EPERM, missing);
        }

        error = KernelMounter.Copy(source!.File, (asked.Flags & mount.MS_REC) != 0, KernelMounter.AttributesOf(Forced(rule)), out SafeFileHandle? made);
        using (made)
        {
            return error < 0 ? Refuse(-error, "it cannot be mounted once more") : Attach(made!, MadeKind.Bind, KernelMounter.LockedOf(source.File), $"bind of {Encoding.UTF8.GetString(source.Place)}", rule);
        }
    }

    // From here on it is written down which mount it is, before the mount is in its place.
    private int Attach(SafeFileHandle made, MadeKind kind, uint locked, string what, MountRule rule)
    {
        int error = KernelMounter.Look(made, [], out ulong number, out _);
        if (error < 0)
        {
            return Refuse(-error, "its number is not known");
        }

        if (!ledger.TryMake(slot, new MadeMount { Mount = number, Peer = _peer, Kind = (uint)kind, Locked = locked }))
        {
            return Refuse(errno.ENOSPC, $"the DPU has {MountLedger.MostMade} mounts on this host, which is the most, or all DPUs together have too many");
        }

        CrashPoints.Reach("MountBegun");
        error = KernelMounter.Attach(made, target.File);
        CrashPoints.Reach("MountMade");
        if (error == 0)
        {
            if (kind == MadeKind.Bind && (asked.Flags & mount.MS_REC) != 0 && KernelMounts.TryList(number, out HashSet<ulong> parts))
            {
                ledger.AddParts(_peer, parts.Where(part => part != number));
            }

            Log.MountMade(logger, peer, asked.Process, what, target.Text, target.Mount.Export.Name, rule.Match);
        }

        return error < 0 ? Refuse(-error, "it cannot be put there") : 0;
    }

    private int Change()
    {
        int error = KernelMounter.Look(target.File, [], out ulong number, out bool isRoot);
        if (error < 0 || !isRoot)
        {
            return Refuse(error < 0 ? -error : errno.EINVAL, "nothing is mounted there");
        }

        if (ledger.Find(number, _peer) is not { } made)
        {
            return Refuse(errno.EPERM, "what is mounted there was not mounted for this DPU");
        }

        if (asked.Change == MountChange.Propagation)
        {
            error = KernelMounter.Change(target.File, asked.Flags & (mount.MS_REC | mount.MS_SILENT | mount.MS_SHARED | mount.MS_SLAVE | mount.MS_PRIVATE | mount.MS_UNBINDABLE), []);
            return error < 0 ? Refuse(-error, "it cannot be changed so") : Changed($"propagation {asked.Flags:x}");
        }

        if ((asked.Change == MountChange.Remount && made.Kind != (uint)MadeKind.FileSystem) || made.Kind == (uint)MadeKind.Part)
        {
            return Refuse(errno.EPERM, "it is something of this host once more, whose file system is not the DPU's to change: MS_REMOUNT with MS_BIND changes the uppermost mount alone");
        }

        string type = made.Kind != (uint)MadeKind.FileSystem ? MountTypes.Bind : KernelMounter.TypeOf(target.File);
        string[] options = asked.Change == MountChange.RemountBind ? [] : [.. asked.Options.Select(option => option.HasValue ? $"{option.Key.ToStringUtf8()}={option.Value.ToStringUtf8()}" : option.Key.ToStringUtf8())];
        if (target.Mount.Export.Mounts.Find(target.Path, type, options, [], out string missing) is not { } rule)
        {
            return Refuse(errno.EPERM, missing);
        }

        ulong alone = asked.Change == MountChange.RemountBind ? mount.MS_BIND : 0;
        ulong allowed = KernelMounter.MountFlags | (alone == 0 ? KernelMounter.FileSystemFlags : 0);
        error = KernelMounter.Change(target.File, mount.MS_REMOUNT | alone | (asked.Flags & allowed) | Forced(rule) | made.Locked, Encoding.UTF8.GetBytes(string.Join(',', options)));
        return error < 0 ? Refuse(-error, "it cannot be changed so") : Changed($"flags {asked.Flags:x} {string.Join(',', options)}");
    }

    private int Changed(string how)
    {
        Log.MountChanged(logger, peer, asked.Process, target.Text, target.Mount.Export.Name, how);
        return 0;
    }

    private int Unmount()
    {
        int flags = (int)asked.Flags;
        if ((asked.Flags & ~(ulong)(mount.MNT_FORCE | mount.MNT_DETACH | mount.UMOUNT_NOFOLLOW)) != 0)
        {
            return Refuse(errno.EINVAL, "of umount2(2) a host takes MNT_FORCE, MNT_DETACH and UMOUNT_NOFOLLOW");
        }

        int error = target.FindParent(out SafeFileHandle? directory, out byte[] name);
        using (directory)
        {
            bool isRoot = false;
            ulong number = 0;
            error = error < 0 ? error : KernelMounter.Look(directory!, name, out number, out isRoot);
            if (error < 0 || !isRoot)
            {
                return Refuse(error < 0 ? -error : errno.EINVAL, "nothing is mounted there");
            }

            if (ledger.Find(number, _peer) is null)
            {
                return Refuse(errno.EPERM, "what is mounted there was not mounted for this DPU: it is the host's to unmount");
            }

            // It holds the mount.
            target.File.Dispose();
            ledger.Unmaking(slot, number);
            CrashPoints.Reach("UnmountBegun");
            long began = Stopwatch.GetTimestamp();
            while (true)
            {
                bool isFree = letGo(number);
                error = isFree || (flags & mount.MNT_DETACH) != 0 ? KernelMounter.Unmount(directory!, name, flags) : -errno.EBUSY;
                if (error != -errno.EBUSY || Stopwatch.GetElapsedTime(began) > BusyLimit)
                {
                    break;
                }

                using var wait = new ManualResetEventSlim();
                _ = wait.Wait(BusyInterval);
            }

            CrashPoints.Reach("UnmountMade");
            if (error == 0)
            {
                Log.MountUnmade(logger, peer, asked.Process, target.Text, target.Mount.Export.Name, (flags & mount.MNT_DETACH) != 0);
            }

            return error < 0 ? Refuse(-error, error == -errno.EBUSY ? "it is in use: a program has a file open there, or something is mounted in it" : "it cannot be unmounted") : 0;
        }
    }

    // A word, a block device of this host, or nothing.
    private int Source(string type, List<(string Key, byte[]? Value, SafeFileHandle? File)> options)
    {
        byte[] text = asked.Source.ToByteArray();
        if (!MountTypes.IsSourceless(type))
        {
            if (asked.SourceFile is not null)
            {
                int error = Open(asked.SourceFile, out MountPlace? file);
                if (error < 0)
                {
                    return Refuse(-error, "what is to be mounted is gone, or outside of the exports");
                }

                text = file!.Place;
            }

            // As this host has it, and whoever names it: it must be in "sources".
            if (!text.AsSpan().StartsWith("/dev/"u8) || text.AsSpan().IndexOf("/../"u8) >= 0)
            {
                return Refuse(errno.EPERM, $"\"{type}\" needs a source, and \"{Encoding.UTF8.GetString(text)}\" is no device below /dev that \"sources\" of a rule could name");
            }

            _sources.Add(text);
        }

        if (text.Length > 0)
        {
            options.Add(("source", text, null));
        }

        return 0;
    }

    private int Layers(string key, MountOption option, List<(string Key, byte[]? Value, SafeFileHandle? File)> options)
    {
        if (option.Layers.Count == 0)
        {
            return Refuse(errno.EINVAL, $"\"{key}\" names nothing");
        }

        foreach (MountLayer layer in option.Layers)
        {
            int error = Open(layer.File, out MountPlace? place);
            if (error < 0)
            {
                return Refuse(-error, $"a directory of \"{key}\" is gone, or outside of the exports");
            }

            options.Add((key == "lowerdir" ? layer.DataOnly ? "datadir+" : "lowerdir+" : key, null, place!.File));
        }

        return 0;
    }

    private int Open(HostFile? file, out MountPlace? place)
    {
        place = null;
        int error = file is not null && (file.MountId == target.Mount.Id ? target.Mount : beside(file.MountId)) is { } mount ? MountPlace.Find(mount, file, out place) : -errno.ESTALE;
        if (error < 0)
        {
            return error;
        }

        _places.Add(place!);
        if (place!.Mount.Export.Name != target.Mount.Export.Name)
        {
            _sources.Add(place.Place);
        }

        return 0;
    }

    private static ulong Forced(MountRule rule) => (rule.AllowSuid ? 0 : mount.MS_NOSUID) | (rule.AllowDev ? 0ul : mount.MS_NODEV);

    private int Refuse(int error, string reason)
    {
        Reason = reason;
        return -error;
    }
}
