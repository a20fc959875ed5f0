using System.Globalization;
using System.Text;
using Dpu.Linux;

namespace Dpu.Qtfs.Fifos;

/// <summary>A process of this machine that has a FIFO open, as proc(5) shows it.</summary>
/// <param name="Process">The process.</param>
/// <param name="Descriptor">Its descriptor.</param>
/// <param name="Access">O_RDONLY, O_WRONLY or O_RDWR; O_PATH where it has its place only, and may open it by that.</param>
internal readonly record struct FifoHolder(int Process, int Descriptor, int Access)
{
    /// <summary>All but this process. Looks through every process's descriptors: for when something has changed, not for each moment.</summary>
    /// <param name="device">The FIFO's device, major number in the high half.</param>
    /// <param name="inode">Its inode's number.</param>
    public static List<FifoHolder> Find(ulong device, ulong inode)
    {
        List<FifoHolder> found = [];
        foreach (string folder in Directory.EnumerateDirectories("/proc"))
        {
            if (int.TryParse(Path.GetFileName(folder), NumberStyles.None, CultureInfo.InvariantCulture, out int process) && process != Environment.ProcessId)
            {
                AddOf(process, device, inode, found);
            }
        }

        return found;
    }

    /// <summary>Those of one process.</summary>
    public static List<FifoHolder> FindIn(int process, ulong device, ulong inode)
    {
        List<FifoHolder> found = [];
        AddOf(process, device, inode, found);
        return found;
    }

    /// <summary>Whether it has it still.</summary>
    public bool IsStill(ulong device, ulong inode) => Is(Process, Descriptor, device, inode);

    private static void AddOf(int process, ulong device, ulong inode, List<FifoHolder> found)
    {
        try
        {
            // Not /proc/PID/fd: .NET asks of each link there what it leads to, and so whoever serves that file system.
            foreach (string entry in Directory.EnumerateFileSystemEntries(string.Create(CultureInfo.InvariantCulture, $"/proc/{process}/fdinfo")))
            {
                if (int.TryParse(Path.GetFileName(entry), NumberStyles.None, CultureInfo.InvariantCulture, out int descriptor) && Is(process, descriptor, device, inode)
                    && ParseAccess(File.ReadAllText(string.Create(CultureInfo.InvariantCulture, $"/proc/{process}/fdinfo/{descriptor}"))) is >= 0 and int access)
                {
                    found.Add(new FifoHolder(process, descriptor, access));
                }
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // Expected: it has ended, or closed that descriptor, meanwhile.
            return;
        }
    }

    /// <summary>The access of proc_pid_fdinfo(5), whose flags are octal; -1 where it says none. Pure.</summary>
    public static int ParseAccess(string information)
    {
        const string Key = "flags:";
        string? line = information.Split('\n').FirstOrDefault(line => line.StartsWith(Key, StringComparison.Ordinal));
        if (line is null)
        {
            return -1;
        }

        long flags = 0;
        foreach (char digit in line.AsSpan(Key.Length).Trim())
        {
            if (digit is < '0' or > '7')
            {
                return -1;
            }

            flags = (flags << 3) | (uint)(digit - '0');
        }

        return AccessOf(flags);
    }

    /// <summary>What flags of open(2) ask for. Pure.</summary>
    public static int AccessOf(long flags) => (flags & fcntl.O_PATH) != 0 ? fcntl.O_PATH : (int)(flags & fcntl.O_ACCMODE);

    // Without asking who serves the file system: that may be this process, or nobody at the moment.
    private static unsafe bool Is(int process, int descriptor, ulong device, ulong inode)
    {
        statx status;
        fixed (byte* path = Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"/proc/{process}/fd/{descriptor}\0")))
        {
            // SAFETY: a NUL-terminated string, pinned; the kernel fills the local.
            return LibC.statx(fcntl.AT_FDCWD, path, fcntl.AT_STATX_DONT_SYNC, stat.STATX_BASIC_STATS, &status) == 0
                && status.stx_ino == inode && (((ulong)status.stx_dev_major << 32) | status.stx_dev_minor) == device && (status.stx_mode & stat.S_IFMT) == stat.S_IFIFO;
        }
    }
}
