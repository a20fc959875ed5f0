using System.Runtime.InteropServices;
using System.Text;
using Dpu.Linux;
using Dpu.Relay.Descriptors;
using Dpu.Runtime.Mounts;
using Microsoft.Win32.SafeHandles;

namespace Dpu.Runtime.Sockets;

/// <summary>
/// Files of the mounts of hosts that programs pass to each other. It asks the mounts themselves, so that it runs on threads that serve none.
/// Thread-safe.
/// </summary>
/// <param name="mounts">Gives the mounts, which need the relays of sockets themselves.</param>
public sealed unsafe class MountedFiles(Func<MountManager> mounts)
{
    // FILEID_INO64_GEN of the kernel (include/linux/exportfs.h): two words of the node and one of the generation.
    private const int NodeHandle = 0x81;
    private const int NodeHandleSize = 3 * sizeof(uint);

    // AT_HANDLE_FID (linux/fcntl.h, Linux 6.5) has the bit of AT_REMOVEDIR: a handle that is only to tell files apart.
    private const int HandleForIdentity = fcntl.AT_REMOVEDIR;

    /// <summary>Which node of which mount an open file is; without a question to its host.</summary>
    /// <param name="host">The host that is to open it.</param>
    /// <param name="descriptor">The file.</param>
    /// <param name="file">Gets mount and node.</param>
    internal bool TryRefer(string host, int descriptor, ref PassedDescriptor file)
    {
        if (DeviceOf(descriptor, out _) is not { } device || mounts().Find(host, mount => mount.DeviceNumber == device) is not { } found)
        {
            return false;
        }

        byte* room = stackalloc byte[sizeof(file_handle) + fcntl.MAX_HANDLE_SZ];
        var handle = (file_handle*)room;
        byte empty = 0;
        int error = -1;
        foreach (int flag in (ReadOnlySpan<int>)[0, HandleForIdentity])
        {
            int mountId;
            handle->handle_bytes = fcntl.MAX_HANDLE_SZ;

            // SAFETY: the head and as much room as it says are on this stack.
            error = LibC.Result(LibC.name_to_handle_at(descriptor, &empty, handle, &mountId, fcntl.AT_EMPTY_PATH | flag));
            if (error >= 0)
            {
                break;
            }
        }

        if (error < 0 || handle->handle_type != NodeHandle || handle->handle_bytes != NodeHandleSize)
        {
            return false;
        }

        uint* words = (uint*)(handle + 1);
        file = file with { Mount = found.Id, Node = ((ulong)words[0] << 32) | words[1] };
        return true;
    }

    /// <summary>Opens what a host names, in that host's mount and nowhere else.</summary>
    internal SafeFileHandle? TryOpen(string host, PassedDescriptor file, out string reason)
    {
        reason = "the host names a mount that is not here";
        if (mounts().Find(host, mount => mount.Id == file.Mount) is not { } found)
        {
            return null;
        }

        using SafeFileHandle? root = Descriptor.TryOpen(found.Target, fcntl.O_PATH | fcntl.O_DIRECTORY, out reason);
        if (root is null || DeviceOf((int)root.DangerousGetHandle(), out _) != found.Device)
        {
            reason = root is null ? reason : "the mount is not in its place: something else is mounted there";
            return null;
        }

        using SafeFileHandle? there = Below(root, file.Name.Span, out reason);
        uint type = 0;
        if (there is null || DeviceOf((int)there.DangerousGetHandle(), out type) != found.Device || type is not (stat.S_IFREG or stat.S_IFDIR))
        {
            reason = there is null ? reason : "the host names what is no file or directory of its mount";
            return null;
        }

        // By what was looked at, not by its name once more.
        SafeFileHandle? opened = Descriptor.TryOpenAgain(there, Descriptor.OpenFlags(file.Flags), out reason);
        if (opened is not null && file.Value > 0)
        {
            _ = LibC.lseek((int)opened.DangerousGetHandle(), file.Value, unistd.SEEK_SET);
        }

        return opened;
    }

    private static SafeFileHandle? Below(SafeFileHandle root, ReadOnlySpan<byte> path, out string reason)
    {
        byte[] name = [.. path.IsEmpty ? "."u8 : path, 0];
        var how = new open_how
        {
            flags = (ulong)(fcntl.O_PATH | fcntl.O_CLOEXEC | fcntl.O_NOFOLLOW),
            resolve = openat2_h.RESOLVE_BENEATH | openat2_h.RESOLVE_NO_SYMLINKS | openat2_h.RESOLVE_NO_MAGICLINKS | openat2_h.RESOLVE_NO_XDEV,
        };
        fixed (byte* bytes = name)
        {
            // SAFETY: pinned, with an end; the struct is on this stack.
            int result = LibC.Result(LibC.openat2((int)root.DangerousGetHandle(), bytes, &how));
            reason = result < 0 ? $"it is not found in the mount: {Marshal.GetPInvokeErrorMessage(-result)}" : "";
            return result < 0 ? null : new SafeFileHandle(result, ownsHandle: true);
        }
    }

    // The minor number of a device without a disk; null for others. FUSE is not asked (AT_STATX_DONT_SYNC).
    private static long? DeviceOf(int descriptor, out uint type)
    {
        statx status;
        byte empty = 0;

        // SAFETY: one struct on this stack.
        int error = LibC.Result(LibC.statx(descriptor, &empty, fcntl.AT_EMPTY_PATH | fcntl.AT_STATX_DONT_SYNC | fcntl.AT_NO_AUTOMOUNT, stat.STATX_TYPE, &status));
        type = error < 0 ? 0 : status.stx_mode & stat.S_IFMT;
        return error < 0 || status.stx_dev_major != 0 ? null : status.stx_dev_minor;
    }
}
