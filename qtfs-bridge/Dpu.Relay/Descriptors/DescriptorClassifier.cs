using System.Globalization;
using System.Text;
using Dpu.Linux;
using Dpu.Relay.Terminals;

namespace Dpu.Relay.Descriptors;

/// <summary>
/// Says what a descriptor of a program is. Asks this kernel only, never the server of a file system: the file may lie in a mount that this
/// process serves.
/// </summary>
public static unsafe class DescriptorClassifier
{
    private const uint MemoryMajor = HarmlessDevice.Major;
    private const uint MiscMajor = 10;
    private const uint TunMinor = 200;

    /// <summary>Looks at one.</summary>
    /// <param name="descriptor">It.</param>
    /// <param name="reason">Why it cannot cross, for people; empty where it may.</param>
    public static PassedDescriptor Classify(int descriptor, out string reason)
    {
        reason = "";
        statx status;
        byte empty = 0;

        // SAFETY: one struct on this stack. With AT_STATX_DONT_SYNC a FUSE file is not asked about.
        int error = LibC.Result(LibC.statx(descriptor, &empty, fcntl.AT_EMPTY_PATH | fcntl.AT_STATX_DONT_SYNC | fcntl.AT_NO_AUTOMOUNT, stat.STATX_TYPE, &status));
        int open = LibC.Result(LibC.fcntl_int(descriptor, fcntl.F_GETFL, 0));
        if (error < 0 || open < 0)
        {
            reason = $"the kernel does not say what it is: errno {-Math.Min(error, open)}";
            return PassedDescriptor.Refused;
        }

        DescriptorFlags flags = FlagsOf(open);
        uint type = status.stx_mode & stat.S_IFMT;
        bool path = (flags & DescriptorFlags.Path) != 0;
        switch (type)
        {
            case stat.S_IFREG when TryCounter(descriptor, flags, out PassedDescriptor? counter):
                return counter!;
            case stat.S_IFREG or stat.S_IFDIR:
                return new PassedDescriptor(DescriptorKind.File, flags | (type == stat.S_IFDIR ? DescriptorFlags.Directory : 0))
                {
                    Value = path || type == stat.S_IFDIR ? 0 : Math.Max(0, LibC.lseek(descriptor, 0, unistd.SEEK_CUR)),
                };
            case stat.S_IFIFO when !path && (flags & DescriptorFlags.ReadWrite) == 0:
                bool writes = (flags & DescriptorFlags.WriteOnly) != 0;
                return new PassedDescriptor(writes ? DescriptorKind.PipeToWrite : DescriptorKind.PipeToRead, flags);
            case stat.S_IFSOCK when !path:
                return Socket(descriptor, flags, out reason);
            case stat.S_IFCHR when !path:
                return Device(descriptor, status, flags, out reason);
            case 0 when TryCounter(descriptor, flags, out PassedDescriptor? counter):
                return counter!;
            default:
                reason = $"no twin of {LinkOf(descriptor)} can be made; give the other program a pipe, a socket or a file of an export instead";
                return PassedDescriptor.Refused;
        }
    }

    /// <summary>What it links to in /proc/self/fd, for people.</summary>
    public static string LinkOf(int descriptor)
    {
        byte* room = stackalloc byte[256];
        byte[] name = Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"/proc/self/fd/{descriptor}\0"));
        fixed (byte* bytes = name)
        {
            // SAFETY: pinned, with an end; the kernel writes at most 256 bytes. The link is read, not followed.
            long length = LibC.Result(LibC.readlinkat(fcntl.AT_FDCWD, bytes, room, 256));
            return length < 0 ? "it" : Link.Printable.Clean(Encoding.UTF8.GetString(room, (int)length), 256);
        }
    }

    private static DescriptorFlags FlagsOf(int open) =>
        (DescriptorFlags)(open & fcntl.O_ACCMODE)
        | ((open & fcntl.O_APPEND) != 0 ? DescriptorFlags.Append : 0)
        | ((open & fcntl.O_NONBLOCK) != 0 ? DescriptorFlags.NonBlock : 0)
        | ((open & fcntl.O_PATH) != 0 ? DescriptorFlags.Path : 0)
        | ((open & fcntl.O_SYNC) == fcntl.O_SYNC ? DescriptorFlags.Sync : (open & fcntl.O_DSYNC) != 0 ? DescriptorFlags.DataSync : 0);

    private static PassedDescriptor Socket(int descriptor, DescriptorFlags flags, out string reason)
    {
        int domain = Option(descriptor, sys_socket.SO_DOMAIN);
        int type = Option(descriptor, sys_socket.SO_TYPE);
        bool listens = Option(descriptor, sys_socket.SO_ACCEPTCONN) == 1;
        reason = domain != sys_socket.AF_UNIX ? $"it is a socket of family {domain}, and only unix sockets cross"
            : type is not (sys_socket.SOCK_STREAM or sys_socket.SOCK_SEQPACKET) ? "it is a datagram socket, which has no end by which the other side's would be closed; use a stream or a seqpacket one"
            : listens || IsConnected(descriptor) ? ""
            : "it is a unix socket that neither listens nor is connected; connect it first";
        flags = (flags & DescriptorFlags.NonBlock) | (type == sys_socket.SOCK_SEQPACKET ? DescriptorFlags.Messages : 0);
        return reason.Length > 0 ? PassedDescriptor.Refused : new PassedDescriptor(listens ? DescriptorKind.Listener : DescriptorKind.Socket, flags);
    }

    private static PassedDescriptor Device(int descriptor, in statx status, DescriptorFlags flags, out string reason)
    {
        reason = "";
        (uint major, uint minor) = (status.stx_rdev_major, status.stx_rdev_minor);
        if (major == MemoryMajor && HarmlessDevice.PathOf(minor) is not null)
        {
            return new PassedDescriptor(DescriptorKind.Device, flags) { Value = minor };
        }

        if ((major, minor) == (MiscMajor, TunMinor))
        {
            return NetworkInterface.TryRead(descriptor, flags, out reason) ?? PassedDescriptor.Refused;
        }

        using var borrowed = new Microsoft.Win32.SafeHandles.SafeFileHandle(descriptor, ownsHandle: false);
        if (IsTerminal(major) && TerminalSettings.Of(borrowed) is { } settings)
        {
            DescriptorKind kind = PseudoTerminal.IsMaster(descriptor) ? DescriptorKind.TerminalMaster : DescriptorKind.Terminal;
            return new PassedDescriptor(kind, (flags & (DescriptorFlags.NonBlock | DescriptorFlags.WriteOnly | DescriptorFlags.ReadWrite)) | DescriptorFlags.Messages) { Settings = settings.Write() };
        }

        reason = $"it is a device ({major}:{minor}), which the other machine does not have; open it there by its path";
        return PassedDescriptor.Refused;
    }

    // Virtual and serial consoles, /dev/ptmx and its like, slaves, and those of USB, of arm64 boards and of hypervisors (devices.txt). Others are not asked:
    // the same request is another one of theirs.
    private static bool IsTerminal(uint major) => major is 4 or 5 or (>= 136 and <= 143) or 166 or 188 or 204 or 229;

    private static bool TryCounter(int descriptor, DescriptorFlags flags, out PassedDescriptor? counter)
    {
        counter = null;
        if (LinkOf(descriptor) != EventCounter.Link)
        {
            return false;
        }

        counter = new PassedDescriptor(DescriptorKind.Counter, (flags & DescriptorFlags.NonBlock) | DescriptorFlags.Messages | (EventCounter.Look(descriptor).Semaphore ? DescriptorFlags.Semaphore : 0));
        return true;
    }

    private static int Option(int socket, int option)
    {
        int value = 0;
        uint size = sizeof(int);
        using var borrowed = new Microsoft.Win32.SafeHandles.SafeFileHandle(socket, ownsHandle: false);

        // SAFETY: an int on the stack, with its own size.
        return sys_socket.getsockopt(borrowed, sys_socket.SOL_SOCKET, option, &value, &size) < 0 ? 0 : value;
    }

    // What has never been connected has no user at its other end.
    private static bool IsConnected(int socket)
    {
        ucred other;
        uint size = (uint)sizeof(ucred);
        using var borrowed = new Microsoft.Win32.SafeHandles.SafeFileHandle(socket, ownsHandle: false);

        // SAFETY: the local's own size.
        return sys_socket.getsockopt(borrowed, sys_socket.SOL_SOCKET, sys_socket.SO_PEERCRED, &other, &size) >= 0 && other.uid != uint.MaxValue;
    }
}
