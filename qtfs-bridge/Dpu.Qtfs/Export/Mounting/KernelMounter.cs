using System.Globalization;
using System.Text;
using Dpu.Fuse;
using Dpu.Linux;
using Microsoft.Win32.SafeHandles;

namespace Dpu.Qtfs.Export.Mounting;

/// <summary>
/// Mounts by descriptors: what a path was found to be is what is mounted on, whoever has put something else there meanwhile. Each result is 0 or a negated
/// errno. As the daemon itself.
/// </summary>
internal static unsafe class KernelMounter
{
    private const int MostWords = 512;

    /// <summary>Flags of mount(2) that a mount of its own can have.</summary>
    public const ulong MountFlags = mount.MS_RDONLY | mount.MS_NOSUID | mount.MS_NODEV | mount.MS_NOEXEC | mount.MS_NOSYMFOLLOW | mount.MS_NOATIME | mount.MS_NODIRATIME | mount.MS_RELATIME | mount.MS_STRICTATIME;

    /// <summary>Flags of mount(2) that a file system can have.</summary>
    public const ulong FileSystemFlags = mount.MS_RDONLY | mount.MS_SYNCHRONOUS | mount.MS_DIRSYNC | mount.MS_LAZYTIME;

    /// <summary>Flags of what is mounted that a copy of it keeps.</summary>
    public const uint LockedFlags = mount.MS_RDONLY | mount.MS_NOSUID | mount.MS_NODEV | mount.MS_NOEXEC;

    /// <summary>Makes a file system, mounted nowhere yet.</summary>
    /// <param name="type">Its type.</param>
    /// <param name="options">What it is told, in that order: a word, a word and its value, or a word and a file.</param>
    /// <param name="flags">Of mount(2).</param>
    /// <param name="made">It.</param>
    /// <param name="words">What the kernel has said of it, where it failed.</param>
    public static int Make(string type, IEnumerable<(string Key, byte[]? Value, SafeFileHandle? File)> options, ulong flags, out SafeFileHandle? made, out string words)
    {
        (made, words) = (null, "");
        int context;
        fixed (byte* name = Text(type))
        {
            // SAFETY: a NUL-terminated string, pinned.
            context = LibC.Result(LibC.fsopen(name, mount.FSOPEN_CLOEXEC));
        }

        if (context < 0)
        {
            return context;
        }

        using var handle = new SafeFileHandle(context, ownsHandle: true);
        int error = 0;
        foreach ((string key, byte[]? value, SafeFileHandle? file) in options.Concat(Words(flags)))
        {
            error = Set(context, key, value, file);
            if (error < 0)
            {
                words = $"\"{key}\": {WordsOf(context)}";
                return error;
            }
        }

        error = LibC.Result(LibC.fsconfig(context, mount.FSCONFIG_CMD_CREATE, null, null, 0));
        int result = error < 0 ? error : LibC.Result(LibC.fsmount(context, mount.FSMOUNT_CLOEXEC, AttributesOf(flags)));
        words = result < 0 ? WordsOf(context) : "";
        made = result < 0 ? null : new SafeFileHandle(result, ownsHandle: true);
        return Math.Min(result, 0);
    }

    /// <summary>Makes a copy of a mount that begins at a file or directory of it, mounted nowhere yet.</summary>
    /// <param name="source">It, O_PATH.</param>
    /// <param name="isDeep">With what is mounted below.</param>
    /// <param name="attributes">MOUNT_ATTR_* that all of it gets besides.</param>
    /// <param name="made">The copy.</param>
    public static int Copy(SafeFileHandle source, bool isDeep, uint attributes, out SafeFileHandle? made)
    {
        byte empty = 0;
        made = null;
        uint deep = isDeep ? (uint)fcntl.AT_RECURSIVE : 0;
        int copy = LibC.Result(LibC.open_tree((int)source.DangerousGetHandle(), &empty, mount.OPEN_TREE_CLONE | (uint)fcntl.AT_EMPTY_PATH | (uint)fcntl.O_CLOEXEC | deep));
        if (copy < 0)
        {
            return copy;
        }

        var handle = new SafeFileHandle(copy, ownsHandle: true);
        var set = new mount_attr { attr_set = attributes };

        // SAFETY: a struct on this stack.
        int error = attributes == 0 ? 0 : LibC.Result(LibC.mount_setattr(copy, &empty, (uint)fcntl.AT_EMPTY_PATH | deep, &set));
        if (error < 0)
        {
            handle.Dispose();
            return error;
        }

        made = handle;
        return 0;
    }

    /// <summary>Puts what was made on a file or directory (O_PATH).</summary>
    public static int Attach(SafeFileHandle made, SafeFileHandle target)
    {
        byte empty = 0;
        return LibC.Result(LibC.move_mount((int)made.DangerousGetHandle(), &empty, (int)target.DangerousGetHandle(), &empty, mount.MOVE_MOUNT_F_EMPTY_PATH | mount.MOVE_MOUNT_T_EMPTY_PATH));
    }

    /// <summary>Changes the mount of which a descriptor (O_PATH) is the root.</summary>
    /// <param name="target">It.</param>
    /// <param name="flags">Of mount(2), with what is to be changed.</param>
    /// <param name="options">Of the file system, with commas between.</param>
    public static int Change(SafeFileHandle target, ulong flags, byte[] options)
    {
        fixed (byte* path = Text(PathOf(target)), word = Text("none"), data = Ended(options))
        {
            // SAFETY: NUL-terminated strings, pinned.
            return LibC.Result(LibC.mount(word, path, word, (nuint)flags, options.Length > 0 ? data : null));
        }
    }

    /// <summary>Unmounts what is uppermost at a name in a directory.</summary>
    public static int Unmount(SafeFileHandle directory, ReadOnlySpan<byte> name, int flags)
    {
        byte[] path = [.. Encoding.ASCII.GetBytes(PathOf(directory)), (byte)'/', .. name, 0];
        fixed (byte* at = path)
        {
            // SAFETY: a NUL-terminated string, pinned. The directory is the descriptor's, and the name's link is not followed.
            return LibC.Result(LibC.umount2(at, flags | mount.UMOUNT_NOFOLLOW));
        }
    }

    /// <summary>The number of the mount that a name in a directory leads to, and whether it is its root.</summary>
    public static int Look(SafeFileHandle directory, ReadOnlySpan<byte> name, out ulong number, out bool isRoot)
    {
        statx status;
        fixed (byte* at = Ended(name))
        {
            // SAFETY: a NUL-terminated string, pinned, and a struct on this stack.
            int error = LibC.Result(LibC.statx((int)directory.DangerousGetHandle(), at, fcntl.AT_SYMLINK_NOFOLLOW | fcntl.AT_EMPTY_PATH | fcntl.AT_STATX_DONT_SYNC | fcntl.AT_NO_AUTOMOUNT, stat.STATX_MNT_ID | stat.STATX_MNT_ID_UNIQUE, &status));
            number = error < 0 ? 0 : status.stx_mnt_id;
            isRoot = error == 0 && (status.stx_attributes & stat.STATX_ATTR_MOUNT_ROOT) != 0;
            return error;
        }
    }

    /// <summary>Those flags of mount(2) among <see cref="LockedFlags"/> that a file's mount has.</summary>
    public static uint LockedOf(SafeFileHandle file)
    {
        statfs status;

        // SAFETY: a struct on this stack. ST_RDONLY and the three others have the numbers of MS_* (statfs(2)).
        return LibC.fstatfs((int)file.DangerousGetHandle(), &status) == 0 ? (uint)status.f_flags & LockedFlags : LockedFlags;
    }

    /// <summary>The type of the file system that a mount has, by its number of the old kind; empty where it is not found.</summary>
    public static string TypeOf(SafeFileHandle file)
    {
        statx status;
        byte empty = 0;

        // SAFETY: a struct on this stack.
        if (LibC.statx((int)file.DangerousGetHandle(), &empty, fcntl.AT_EMPTY_PATH | fcntl.AT_STATX_DONT_SYNC, stat.STATX_MNT_ID, &status) != 0)
        {
            return "";
        }

        // proc(5), mountinfo: the type is behind a lone hyphen.
        string number = status.stx_mnt_id.ToString(CultureInfo.InvariantCulture) + " ";
        string? line = File.ReadLines("/proc/self/mountinfo").FirstOrDefault(line => line.StartsWith(number, StringComparison.Ordinal));
        return line is null ? "" : line[(line.IndexOf(" - ", StringComparison.Ordinal) + 3)..].Split(' ')[0];
    }

    /// <summary>Where a descriptor's file is on this machine.</summary>
    public static byte[] PlaceOf(SafeFileHandle file)
    {
        byte[] room = new byte[limits.PATH_MAX];
        fixed (byte* path = Text(PathOf(file)), into = room)
        {
            // SAFETY: a NUL-terminated string and the room, pinned.
            int length = (int)LibC.Result(LibC.readlinkat(fcntl.AT_FDCWD, path, into, (nuint)room.Length));
            return length < 0 || length == room.Length ? [] : room[..length];
        }
    }

    /// <summary>The path by which the kernel finds a descriptor's file.</summary>
    public static string PathOf(SafeFileHandle file) => string.Create(CultureInfo.InvariantCulture, $"/proc/self/fd/{file.DangerousGetHandle()}");

    /// <summary>MOUNT_ATTR_* of flags of mount(2).</summary>
    public static uint AttributesOf(ulong flags)
    {
        uint Of(uint flag, uint attribute) => (flags & flag) != 0 ? attribute : 0;
        return Of(mount.MS_RDONLY, mount.MOUNT_ATTR_RDONLY) | Of(mount.MS_NOSUID, mount.MOUNT_ATTR_NOSUID) | Of(mount.MS_NODEV, mount.MOUNT_ATTR_NODEV) | Of(mount.MS_NOEXEC, mount.MOUNT_ATTR_NOEXEC)
            | Of(mount.MS_NOSYMFOLLOW, mount.MOUNT_ATTR_NOSYMFOLLOW) | Of(mount.MS_NODIRATIME, mount.MOUNT_ATTR_NODIRATIME)
            | ((flags & mount.MS_STRICTATIME) != 0 ? mount.MOUNT_ATTR_STRICTATIME : Of(mount.MS_NOATIME, mount.MOUNT_ATTR_NOATIME));
    }

    private static IEnumerable<(string Key, byte[]? Value, SafeFileHandle? File)> Words(ulong flags)
    {
        foreach ((uint flag, string word) in ((uint, string)[])[(mount.MS_RDONLY, "ro"), (mount.MS_SYNCHRONOUS, "sync"), (mount.MS_DIRSYNC, "dirsync"), (mount.MS_LAZYTIME, "lazytime")])
        {
            if ((flags & flag) != 0)
            {
                yield return (word, null, null);
            }
        }
    }

    private static int Set(int context, string key, byte[]? value, SafeFileHandle? file)
    {
        fixed (byte* word = Text(key))
        {
            // SAFETY: NUL-terminated strings, pinned. Linux 6.13 takes a layer of an overlay as a descriptor, and then shows its path; before, the path of one does.
            int error = file is null ? -errno.EINVAL : LibC.Result(LibC.fsconfig(context, mount.FSCONFIG_SET_FD, word, null, (int)file.DangerousGetHandle()));
            if (error == 0)
            {
                return 0;
            }

            value = file is null ? value : Encoding.ASCII.GetBytes(PathOf(file));
            fixed (byte* text = Ended(value))
            {
                return LibC.Result(LibC.fsconfig(context, value is null ? mount.FSCONFIG_SET_FLAG : mount.FSCONFIG_SET_STRING, word, value is null ? null : text, 0));
            }
        }
    }

    // fsconfig(2): why a file system was refused is read from its context, a line at a time.
    private static string WordsOf(int context)
    {
        List<string> lines = [];
        byte[] room = new byte[MostWords];
        while (lines.Count < 4)
        {
            fixed (byte* into = room)
            {
                // SAFETY: the room, pinned, and its length.
                long length = LibC.Result(LibC.read(context, into, (nuint)room.Length));
                if (length <= 0)
                {
                    break;
                }

                lines.Add(Encoding.UTF8.GetString(room, 0, (int)length).Trim());
            }
        }

        return string.Join("; ", lines);
    }

    private static byte[] Text(string text) => Ended(Encoding.UTF8.GetBytes(text));

    private static byte[] Ended(ReadOnlySpan<byte> text) => [.. text, 0];
}
