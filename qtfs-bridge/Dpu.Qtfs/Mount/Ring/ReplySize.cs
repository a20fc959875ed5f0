using Dpu.Fuse.Wire;

namespace Dpu.Qtfs.Mount.Ring;

/// <summary>
/// Whether a successful answer has a size that the kernel takes for its request. On /dev/fuse the kernel says so itself;
/// on a ring it says nothing, and gives the caller EINVAL. Pure.
/// </summary>
internal static unsafe class ReplySize
{
    /// <summary>Whether it does.</summary>
    /// <param name="request">A whole FUSE request that the kernel wrote.</param>
    /// <param name="length">Its length in bytes.</param>
    /// <param name="body">The size of the answer without its header, in bytes.</param>
    public static bool Fits(byte* request, int length, int body)
    {
        // SAFETY: the request has a whole header; its first argument is read only where the length has it.
        byte* argument = request + sizeof(fuse_in_header);
        int left = length - sizeof(fuse_in_header);
        switch ((fuse_opcode)((fuse_in_header*)request)->opcode)
        {
            case fuse_opcode.FUSE_LOOKUP:
            case fuse_opcode.FUSE_MKNOD:
            case fuse_opcode.FUSE_MKDIR:
            case fuse_opcode.FUSE_SYMLINK:
            case fuse_opcode.FUSE_LINK:
                return body == sizeof(fuse_entry_out);
            case fuse_opcode.FUSE_CREATE:
            case fuse_opcode.FUSE_TMPFILE:
                return body == sizeof(fuse_entry_out) + sizeof(fuse_open_out);
            case fuse_opcode.FUSE_GETATTR:
            case fuse_opcode.FUSE_SETATTR:
                return body == sizeof(fuse_attr_out);
            case fuse_opcode.FUSE_STATX:
                return body == sizeof(fuse_statx_out);
            case fuse_opcode.FUSE_OPEN:
            case fuse_opcode.FUSE_OPENDIR:
                return body == sizeof(fuse_open_out);
            case fuse_opcode.FUSE_WRITE:
            case fuse_opcode.FUSE_COPY_FILE_RANGE:
                return body == sizeof(fuse_write_out);
            case fuse_opcode.FUSE_STATFS:
                return body == sizeof(fuse_statfs_out);
            case fuse_opcode.FUSE_GETLK:
                return body == sizeof(fuse_lk_out);
            case fuse_opcode.FUSE_LSEEK:
                return body == sizeof(fuse_lseek_out);
            case fuse_opcode.FUSE_POLL:
                return body == sizeof(fuse_poll_out);
            case fuse_opcode.FUSE_BMAP:
                return body == sizeof(fuse_bmap_out);
            case fuse_opcode.FUSE_READ:
            case fuse_opcode.FUSE_READDIR:
            case fuse_opcode.FUSE_READDIRPLUS:
                return left >= sizeof(fuse_read_in) && (uint)body <= ((fuse_read_in*)argument)->size;
            case fuse_opcode.FUSE_GETXATTR:
            case fuse_opcode.FUSE_LISTXATTR:
                uint size = left >= sizeof(fuse_getxattr_in) ? ((fuse_getxattr_in*)argument)->size : 0;
                return size == 0 ? body == sizeof(fuse_getxattr_out) : (uint)body <= size;
            case fuse_opcode.FUSE_IOCTL:
                return left >= sizeof(fuse_ioctl_in) && body >= sizeof(fuse_ioctl_out)
                    && (uint)(body - sizeof(fuse_ioctl_out)) <= ((fuse_ioctl_in*)argument)->out_size;
            case fuse_opcode.FUSE_READLINK:
                // One byte less than a page, whatever its size is.
                return body < Environment.SystemPageSize;
            default:
                return body == 0;
        }
    }
}
