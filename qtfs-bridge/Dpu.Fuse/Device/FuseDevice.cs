using System.Globalization;
using System.Text;
using Dpu.Fuse.Wire;
using Dpu.Linux;
using Microsoft.Win32.SafeHandles;

namespace Dpu.Fuse;

/// <summary>A FUSE connection and its mount: /dev/fuse, mount(2), clones, and the ways to end them. Thread-safe.</summary>
/// <remarks>
/// <c>default_permissions</c> is always set (without it the kernel checks nothing, not even the mode of a socket), and so
/// is <c>allow_other</c>: the mount is for every user of the machine. Sources: fuse(4), mount.fuse3(8).
/// </remarks>
public sealed unsafe class FuseDevice : IDisposable
{
    private readonly byte[] _target;
    private readonly string _targetText;
    private readonly Lock _lock = new();
    private bool _unmounted;

    private FuseDevice(SafeFileHandle handle, byte[] target, string targetText, long connection)
    {
        Handle = handle;
        _target = target;
        _targetText = targetText;
        ConnectionNumber = connection;
    }

    /// <summary>The descriptor that was mounted. The connection lives as long as it or a clone does, also in another process.</summary>
    public SafeFileHandle Handle { get; }

    /// <summary>The connection's number in fusectl; it may be given to another mount once this one is gone.</summary>
    public long ConnectionNumber { get; }

    /// <summary>Whether the kernel still sends requests: false once it is unmounted (and its last user is gone) or aborted.</summary>
    public bool Connected
    {
        get
        {
            try
            {
                return (poll.Now(Handle, poll.POLLIN) & poll.POLLERR) == 0;
            }
            catch (ObjectDisposedException)
            {
                // Expected: who aborts or unmounts may come at the same time as the end of the last thread that serves.
                return false;
            }
        }
    }

    /// <summary>Mounts. The kernel's first request, FUSE_INIT, then waits to be read; until it is answered every access waits.</summary>
    /// <exception cref="FuseMountException">The kernel refused, or the target is not as it must be.</exception>
    public static FuseDevice Mount(FuseMountOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        if (options.Subtype.Length == 0 || options.Subtype.Any(letter => !char.IsAsciiLetterOrDigit(letter) && letter != '-'))
        {
            throw new ArgumentException($"Subtype is '{options.Subtype}'; letters, digits and '-' are allowed.", nameof(options));
        }

        if (options.ReplaceStale)
        {
            FuseStaleMount.RemoveFrom(options.Target);
        }

        byte[] target = MountPath.Canonical(options.Target);
        int descriptor;
        fixed (byte* path = "/dev/fuse\0"u8)
        {
            // SAFETY: a NUL-terminated constant.
            descriptor = LibC.Result(LibC.openat(fcntl.AT_FDCWD, path, fcntl.O_RDWR | fcntl.O_CLOEXEC, 0));
        }

        if (descriptor < 0)
        {
            throw new FuseMountException("Opening /dev/fuse failed", -descriptor, "load the kernel module 'fuse' and allow the device to this service");
        }

        var handle = new SafeFileHandle(descriptor, ownsHandle: true);
        try
        {
            MountOn(handle, target, options);
            MountTableEntry? entry = MountTable.At(target).LastOrDefault();
            return entry is { IsFuse: true }
                ? new FuseDevice(handle, target, options.Target, entry.Minor)
                : throw new FuseMountException($"The mount on '{options.Target}' is not in this thread's mount table", 0, "another process covered or removed it at once");
        }
        catch
        {
            handle.Dispose();
            throw;
        }
    }

    /// <summary>A mount that another process has made and served.</summary>
    /// <param name="handle">Its descriptor; this one's from now on.</param>
    /// <param name="place">Its <see cref="Place"/>.</param>
    /// <param name="target">The mount point as it was named.</param>
    /// <param name="connection">Its <see cref="ConnectionNumber"/>.</param>
    public static FuseDevice Adopt(SafeFileHandle handle, byte[] place, string target, long connection) => new(handle, place, target, connection);

    /// <summary>The mount point's path as the kernel has it: without links, and asked of nobody.</summary>
    public byte[] Place => _target;

    /// <summary>Whether it is still in this thread's table of mounts.</summary>
    public bool IsInPlace => MountTable.At(_target).Any(IsThis);

    /// <summary>Another descriptor of the same connection, for a thread of its own: a reply goes to the one that its request was read from.</summary>
    /// <exception cref="FuseMountException">The kernel refused.</exception>
    public SafeFileHandle Clone()
    {
        int descriptor;
        fixed (byte* path = "/dev/fuse\0"u8)
        {
            // SAFETY: a NUL-terminated constant.
            descriptor = LibC.Result(LibC.openat(fcntl.AT_FDCWD, path, fcntl.O_RDWR | fcntl.O_CLOEXEC, 0));
        }

        if (descriptor < 0)
        {
            throw new FuseMountException("Opening /dev/fuse for a clone failed", -descriptor);
        }

        var clone = new SafeFileHandle(descriptor, ownsHandle: true);
        uint original = (uint)(int)Handle.DangerousGetHandle();

        // SAFETY: the kernel reads one uint, which lives on this stack.
        int result = LibC.Result(LibC.ioctl(descriptor, FuseConstants.FUSE_DEV_IOC_CLONE, &original));
        GC.KeepAlive(Handle);
        if (result < 0)
        {
            clone.Dispose();
            throw new FuseMountException($"FUSE_DEV_IOC_CLONE for '{_targetText}' failed", -result);
        }

        return clone;
    }

    /// <summary>Reads one request; blocks until there is one. Hot path.</summary>
    /// <param name="device">The connection or a clone of it; held open by the caller during the call.</param>
    /// <param name="buffer">Room for <see cref="FuseLimits.MaxMessageSize"/> bytes.</param>
    /// <param name="size">The room, in bytes.</param>
    /// <returns>
    /// The request's bytes, or a negated errno: EINTR, EAGAIN and ENOENT (the request was withdrawn) mean to read again;
    /// ENODEV that it is unmounted, ECONNABORTED that it was aborted.
    /// </returns>
    public static int ReadRequest(SafeFileHandle device, byte* buffer, int size)
    {
        ArgumentNullException.ThrowIfNull(device);

        // SAFETY: the caller vouches for the buffer, and keeps the handle open.
        return (int)LibC.Result(LibC.read((int)device.DangerousGetHandle(), buffer, (nuint)size));
    }

    /// <summary>Writes one reply, whole. Hot path.</summary>
    /// <param name="device">Where the request was read from; held open by the caller during the call.</param>
    /// <param name="reply">The reply with its header.</param>
    /// <param name="length">Its size, in bytes.</param>
    /// <returns>
    /// The reply's bytes, or a negated errno: ENOENT where nobody waits for it any more; EINVAL where it is malformed, and
    /// the requester still waits; ENODEV where it is unmounted.
    /// </returns>
    public static int WriteReply(SafeFileHandle device, byte* reply, int length)
    {
        ArgumentNullException.ThrowIfNull(device);

        // SAFETY: the caller vouches for the buffer, and keeps the handle open.
        return (int)LibC.Result(LibC.write((int)device.DangerousGetHandle(), reply, (nuint)length));
    }

    /// <summary>Unmounts; does nothing where somebody else has. Only ever removes this mount.</summary>
    /// <param name="lazy">Detach it now and end when its last user goes, instead of refusing while it is used.</param>
    /// <exception cref="FuseMountException">EBUSY: it is used (not with <paramref name="lazy"/>), or another mount covers it.</exception>
    public void Unmount(bool lazy)
    {
        lock (_lock)
        {
            if (_unmounted)
            {
                return;
            }

            IReadOnlyList<MountTableEntry> mounts = MountTable.At(_target);
            if (!Connected || !mounts.Any(IsThis))
            {
                // Unmounted by another, or aborted: a dead mount is removed all the same if it is still there.
                if (mounts.LastOrDefault() is { } top && IsThis(top) && !Connected)
                {
                    FuseStaleMount.RemoveDead(_target, _targetText, top);
                }

                _unmounted = true;
                return;
            }

            if (!IsThis(mounts[^1]))
            {
                throw new FuseMountException($"Unmounting '{_targetText}' failed", errno.EBUSY, "unmount what covers it first");
            }

            int result = MountPath.Unmount(_target, lazy);
            if (result < 0 && result != -errno.EINVAL)
            {
                throw new FuseMountException($"Unmounting '{_targetText}' failed", -result, result == -errno.EBUSY ? "end what uses it, or unmount lazily" : null);
            }

            // EINVAL: it went between the look and the call.
            _unmounted = true;
        }
    }

    /// <summary>Breaks the connection: requests under way fail with ECONNABORTED, later ones with ENOTCONN. The mount stays, dead.</summary>
    /// <exception cref="FuseMountException">The kernel refused.</exception>
    public void Abort()
    {
        // The number of a connection that is gone may be another's by now.
        if (!Connected)
        {
            return;
        }

        int result = FuseControl.Abort(ConnectionNumber);
        if (result is not (0 or -errno.ENOENT))
        {
            throw new FuseMountException($"Aborting FUSE connection {ConnectionNumber} of '{_targetText}' failed", -result);
        }
    }

    /// <summary>Unmounts lazily where that is still to do, and closes the descriptor; clones live on.</summary>
    public void Dispose()
    {
        if (Handle.IsClosed)
        {
            return;
        }

        try
        {
            Unmount(lazy: true);
        }
        catch (FuseMountException)
        {
            // Covered by another mount: the connection ends with its last descriptor, and the mount is dead from then on.
        }

        Handle.Dispose();
    }

    private static void MountOn(SafeFileHandle handle, byte[] target, FuseMountOptions options)
    {
        byte[] source = Encoding.UTF8.GetBytes(options.Source + '\0');
        byte[] type = Encoding.UTF8.GetBytes($"fuse.{options.Subtype}\0");
        byte[] data = Encoding.UTF8.GetBytes(string.Create(CultureInfo.InvariantCulture,
            $"fd={handle.DangerousGetHandle()},rootmode=40000,user_id={LibC.geteuid()},group_id={LibC.getegid()},default_permissions,allow_other,max_read={options.MaxRead}\0"));
        uint flags = (options.AllowSuid ? 0 : mount.MS_NOSUID) | (options.AllowDev ? 0 : mount.MS_NODEV);
        fixed (byte* sourcePointer = source, targetPointer = target.AsSpan().ToNulTerminated(), typePointer = type, dataPointer = data)
        {
            // SAFETY: four NUL-terminated strings, pinned during the call.
            int result = LibC.Result(LibC.mount(sourcePointer, targetPointer, typePointer, flags, dataPointer));
            if (result < 0)
            {
                throw new FuseMountException($"Mounting '{options.Source}' on '{options.Target}' failed", -result,
                    result == -errno.EPERM ? "mounting needs CAP_SYS_ADMIN" : null);
            }

            // Of the mount, not of the file system: sockets are bound through a copy of the mount. Nothing is answered yet.
            result = options.ReadOnly ? LibC.Result(LibC.mount(null, targetPointer, null, mount.MS_REMOUNT | mount.MS_BIND | mount.MS_RDONLY | flags, null)) : 0;
            if (result < 0)
            {
                _ = LibC.umount2(targetPointer, mount.MNT_DETACH);
                throw new FuseMountException($"Making '{options.Target}' read-only failed", -result);
            }
        }
    }

    private bool IsThis(MountTableEntry entry) => entry.IsFuse && entry.Major == 0 && entry.Minor == ConnectionNumber;
}
