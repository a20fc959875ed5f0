using Dpu.Linux;

namespace Dpu.Fuse;

// Files that the peer's kernel uses without having opened them (FUSE_NO_OPEN_SUPPORT): their handle is 0. It has checked
// the access where they were opened there; here each call opens what it needs.
public sealed unsafe partial class PassthroughFileSystem
{
    private FilePin PinToRead(in FuseCaller caller, ulong handle, ulong node)
    {
        if (handle != 0 || !_options.ZeroMessageOpen)
        {
            return new FilePin(_handles.Pin(handle, node, isDirectory: false));
        }

        using NodePin file = _nodes.Pin(node);
        int error = Begin(caller, file);
        if (error < 0)
        {
            return new FilePin(error);
        }

        HandlePin known = _readers.Pin(file);
        if (known.Valid)
        {
            return new FilePin(known);
        }

        error = CheckUnopened(file);
        int opened = error < 0 ? error : HandleLimit(Reopen(file.Descriptor, OpenFlags(fcntl.O_RDONLY)));
        if (opened < 0)
        {
            return new FilePin(opened);
        }

        HandlePin added = _readers.Add(file, opened);
        return added.Valid ? new FilePin(added) : new FilePin(opened);
    }

    // Opened for this call only: see ReaderTable.
    private FilePin PinToWrite(in FuseCaller caller, ulong handle, ulong node)
    {
        if (handle != 0 || !_options.ZeroMessageOpen)
        {
            return new FilePin(_handles.Pin(handle, node, isDirectory: false));
        }

        using NodePin file = _nodes.Pin(node);
        int error = BeginChange(caller, file);
        error = error < 0 ? error : CheckUnopened(file);
        if (error < 0)
        {
            return new FilePin(error);
        }

        int opened = Reopen(file.Descriptor, OpenFlags(fcntl.O_WRONLY));
        if (opened == -errno.EPERM)
        {
            // As for an OPEN: a file that can only be appended to.
            opened = Reopen(file.Descriptor, OpenFlags(fcntl.O_WRONLY) | fcntl.O_APPEND);
        }

        return new FilePin(HandleLimit(opened));
    }

    // What the kernel's own trees say belongs to an open file of who asked.
    private static int CheckUnopened(in NodePin file) => file.Tree == TreeKind.Ordinary ? CheckOpenable(file.Type) : -errno.EOPNOTSUPP;

    /// <summary>Whether a handle that a call names stands for nothing but its node.</summary>
    private bool IsUnopened(ulong handle) => handle == 0 && _options.ZeroMessageOpen;
}
