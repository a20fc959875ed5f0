using Dpu.Fuse.Wire;
using Dpu.Linux;
using static Dpu.Linux.LibC;

namespace Dpu.Fuse;

// ioctl(2): the flags that chattr(1) changes, and nothing else. A number means what the file system behind it makes of it,
// from reading a label to rewriting the disk, so that none is passed on that is not listed here with the size of its data.
public sealed unsafe partial class PassthroughFileSystem
{
    /// <inheritdoc/>
    public override int Ioctl(in FuseCaller caller, ulong node, in fuse_ioctl_in request, ReadOnlySpan<byte> input, Span<byte> output, out int result)
    {
        result = 0;
        return request.cmd switch
        {
            linux_fs.FS_IOC_GETFLAGS => Inspect(caller, node, request, sizeof(uint), output),
            linux_fs.FS_IOC_FSGETXATTR => Inspect(caller, node, request, sizeof(fsxattr), output),
            linux_fs.FS_IOC_SETFLAGS => Adjust(caller, node, request, sizeof(uint), input),
            linux_fs.FS_IOC_FSSETXATTR => Adjust(caller, node, request, sizeof(fsxattr), input),
            _ => -errno.ENOTTY,
        };
    }

    private int Inspect(in FuseCaller caller, ulong node, in fuse_ioctl_in request, int size, Span<byte> output)
    {
        if (output.Length != size)
        {
            return -errno.EINVAL;
        }

        using FilePin file = PinOf(caller, node, request);
        int error = BeginIoctl(caller, file);
        if (error < 0)
        {
            return error;
        }

        // SAFETY: both requests write exactly 'size' bytes, to a buffer of the struct's alignment.
        fsxattr buffer = default;
        error = Result(ioctl(file.Descriptor, request.cmd, &buffer));
        if (error < 0)
        {
            return error;
        }

        new ReadOnlySpan<byte>(&buffer, size).CopyTo(output);
        return size;
    }

    private int Adjust(in FuseCaller caller, ulong node, in fuse_ioctl_in request, int size, ReadOnlySpan<byte> input)
    {
        if (input.Length != size)
        {
            return -errno.EINVAL;
        }

        if (_options.ReadOnly)
        {
            return -errno.EROFS;
        }

        using FilePin file = PinOf(caller, node, request);
        int error = BeginIoctl(caller, file);
        if (error < 0)
        {
            return error;
        }

        // SAFETY: both requests read exactly 'size' bytes, at most the struct's.
        fsxattr buffer = default;
        input.CopyTo(new Span<byte>(&buffer, size));
        return Result(ioctl(file.Descriptor, request.cmd, &buffer));
    }

    private FilePin PinOf(in FuseCaller caller, ulong node, in fuse_ioctl_in request) =>
        (request.flags & FuseConstants.FUSE_IOCTL_DIR) != 0
            ? new FilePin(_handles.Pin(request.fh, node, isDirectory: true))
            : PinToRead(caller, request.fh, node);

    // Who may change flags is the host's to say: the owner, and for some of them root only.
    private int BeginIoctl(in FuseCaller caller, in FilePin file)
    {
        if (!file.Valid)
        {
            return file.Error;
        }

        int error = _boundary.Check(file.Descriptor);
        return error < 0 ? error : _identity.Assume(caller, IdentityUse.Checked);
    }
}
