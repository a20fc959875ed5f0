using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;
using Dpu.Linux;
using Dpu.Relay.Terminals;
using Microsoft.Win32.SafeHandles;

namespace Dpu.Relay.Descriptors;

/// <summary>Calls on descriptors that programs get.</summary>
public static unsafe class Descriptor
{
    /// <summary>The flags of open(2) on this machine.</summary>
    public static int OpenFlags(DescriptorFlags flags) =>
        ((int)flags & fcntl.O_ACCMODE)
        | ((flags & DescriptorFlags.Append) != 0 ? fcntl.O_APPEND : 0)
        | ((flags & DescriptorFlags.NonBlock) != 0 ? fcntl.O_NONBLOCK : 0)
        | ((flags & DescriptorFlags.Directory) != 0 ? fcntl.O_DIRECTORY : 0)
        | ((flags & DescriptorFlags.Path) != 0 ? fcntl.O_PATH : 0)
        | ((flags & DescriptorFlags.Sync) != 0 ? fcntl.O_SYNC : (flags & DescriptorFlags.DataSync) != 0 ? fcntl.O_DSYNC : 0);

    /// <summary>Opens a file; null where that fails, and why.</summary>
    public static SafeFileHandle? TryOpen(string path, int flags, out string reason) => TryOpenAt(fcntl.AT_FDCWD, path, flags, out reason);

    /// <summary>Opens what a descriptor refers to once more, with flags of its own.</summary>
    public static SafeFileHandle? TryOpenAgain(SafeHandle descriptor, int flags, out string reason) =>
        TryOpen(string.Create(CultureInfo.InvariantCulture, $"/proc/self/fd/{descriptor.DangerousGetHandle()}"), flags, out reason);

    /// <summary>A pair: what a program gets, and what is relayed, which does not wait.</summary>
    /// <param name="what">What the program gets.</param>
    /// <param name="program">The program's.</param>
    /// <param name="relays">The other.</param>
    /// <returns>False where there are no descriptors left, or there is no such pair.</returns>
    public static bool TryMakePair(PassedDescriptor what, out SafeFileHandle? program, out SafeFileHandle? relays)
    {
        (program, relays) = (null, null);
        if (what.Kind == DescriptorKind.Counter)
        {
            return TryMakeCounter(what.Flags, out program, out relays);
        }

        if (what.IsTerminal)
        {
            return TryMakeTerminal(what, out program, out relays);
        }

        int* ends = stackalloc int[2];
        int wait = (what.Flags & DescriptorFlags.NonBlock) != 0 ? fcntl.O_NONBLOCK : 0;
        bool reads = what.Kind == DescriptorKind.PipeToRead;
        int type = (what.Flags & DescriptorFlags.Messages) != 0 ? sys_socket.SOCK_SEQPACKET : sys_socket.SOCK_STREAM;

        // SAFETY: two descriptors on the stack.
        int error = what.Kind switch
        {
            DescriptorKind.PipeToRead or DescriptorKind.PipeToWrite => LibC.Result(LibC.pipe2(ends, fcntl.O_CLOEXEC)),
            DescriptorKind.Socket => sys_socket.socketpair(sys_socket.AF_UNIX, type | sys_socket.SOCK_CLOEXEC, 0, ends),
            _ => -errno.EINVAL,
        };
        if (error < 0)
        {
            return false;
        }

        (program, relays) = (new SafeFileHandle(ends[reads || what.Kind == DescriptorKind.Socket ? 0 : 1], true), new SafeFileHandle(ends[reads || what.Kind == DescriptorKind.Socket ? 1 : 0], true));
        if (wait != 0)
        {
            _ = LibC.SetNonBlocking(program);
        }

        return LibC.SetNonBlocking(relays) >= 0;
    }

    // One counter for both: what it has nobody can look at otherwise.
    private static bool TryMakeCounter(DescriptorFlags flags, out SafeFileHandle? program, out SafeFileHandle? relays)
    {
        int made = LibC.Result(LibC.eventfd(0, eventfd_h.EFD_CLOEXEC | ((flags & DescriptorFlags.NonBlock) != 0 ? eventfd_h.EFD_NONBLOCK : 0) | ((flags & DescriptorFlags.Semaphore) != 0 ? eventfd_h.EFD_SEMAPHORE : 0)));
        int copy = made < 0 ? made : LibC.Result(LibC.fcntl_int(made, fcntl.F_DUPFD_CLOEXEC, 0));
        program = made < 0 ? null : new SafeFileHandle(made, ownsHandle: true);
        relays = copy < 0 ? null : new SafeFileHandle(copy, ownsHandle: true);
        if (relays is null)
        {
            program?.Dispose();
        }

        return relays is not null;
    }

    private static bool TryMakeTerminal(PassedDescriptor what, out SafeFileHandle? program, out SafeFileHandle? relays)
    {
        int wait = (what.Flags & DescriptorFlags.NonBlock) != 0 ? fcntl.O_NONBLOCK : 0;
        bool isMaster = what.Kind == DescriptorKind.TerminalMaster;
        int access = (int)what.Flags & fcntl.O_ACCMODE;
        SafeFileHandle? master = PseudoTerminal.TryOpen(
            isMaster ? wait : fcntl.O_NONBLOCK, isMaster ? fcntl.O_RDWR | fcntl.O_NONBLOCK : access | wait, TerminalSettings.Read(what.Settings.Span), out SafeFileHandle? slave, out _);
        (program, relays) = isMaster ? (master, slave) : (slave, master);
        return master is not null;
    }

    /// <summary>What a relay's own end of such a thing is, where the program's is of that kind.</summary>
    public static LocalEnd OppositeOf(DescriptorKind kind) => kind switch
    {
        DescriptorKind.PipeToRead => LocalEnd.FileToWrite,
        DescriptorKind.PipeToWrite => LocalEnd.FileToRead,
        _ => LocalEnd.Socket,
    };

    /// <summary>What a relay's own end is that is itself of that kind.</summary>
    public static LocalEnd EndOf(DescriptorKind kind) => kind switch
    {
        DescriptorKind.PipeToRead => LocalEnd.FileToRead,
        DescriptorKind.PipeToWrite => LocalEnd.FileToWrite,
        _ => LocalEnd.Socket,
    };

    /// <summary>What it carries.</summary>
    public static SocketKind KindOf(DescriptorFlags flags) => (flags & DescriptorFlags.Messages) != 0 ? SocketKind.SeqPacket : SocketKind.Stream;

    /// <summary>Takes the descriptor out of its handle, which closes nothing any more.</summary>
    public static int Release(SafeFileHandle handle)
    {
        int descriptor = (int)handle.DangerousGetHandle();
        handle.SetHandleAsInvalid();
        return descriptor;
    }

    private static SafeFileHandle? TryOpenAt(int directory, string path, int flags, out string reason)
    {
        byte[] name = Encoding.UTF8.GetBytes(path + '\0');
        fixed (byte* bytes = name)
        {
            // SAFETY: pinned, with an end.
            int opened = LibC.Result(LibC.openat(directory, bytes, flags | fcntl.O_CLOEXEC | fcntl.O_NOCTTY, 0));
            reason = opened < 0 ? Marshal.GetPInvokeErrorMessage(-opened) : "";
            return opened < 0 ? null : new SafeFileHandle(opened, ownsHandle: true);
        }
    }
}
