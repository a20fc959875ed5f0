using Dpu.Linux;
using Dpu.Relay.Descriptors;
using Microsoft.Win32.SafeHandles;

namespace Dpu.Relay.Terminals;

/// <summary>A new pair of a master and its slave (pty(7)).</summary>
public static unsafe class PseudoTerminal
{
    /// <summary>Opens one; nobody's controlling terminal, and nothing of it is inherited.</summary>
    /// <param name="masterFlags">Of open(2): O_NONBLOCK or nothing.</param>
    /// <param name="slaveFlags">Of open(2): the access, and O_NONBLOCK.</param>
    /// <param name="settings">What it begins with; null for the kernel's own.</param>
    /// <param name="slave">The slave.</param>
    /// <param name="reason">Why not.</param>
    /// <returns>The master; null where that fails.</returns>
    public static SafeFileHandle? TryOpen(int masterFlags, int slaveFlags, TerminalSettings? settings, out SafeFileHandle? slave, out string reason)
    {
        slave = null;
        SafeFileHandle? master = Descriptor.TryOpen("/dev/ptmx", fcntl.O_RDWR | masterFlags, out reason);
        if (master is null)
        {
            reason = $"/dev/ptmx cannot be opened: {reason}";
            return null;
        }

        int unlocked = 0;

        // SAFETY: an int on the stack.
        _ = LibC.ioctl((int)master.DangerousGetHandle(), ioctl_tty.TIOCSPTLCK, &unlocked);
        slave = TryOpenSlave(master, slaveFlags, out reason);
        if (slave is null)
        {
            master.Dispose();
            return null;
        }

        _ = settings?.Modes.Write(slave);
        _ = settings?.Dimensions.Set(slave);
        return master;
    }

    /// <summary>Opens a master's slave once more; null where that fails, and why.</summary>
    public static SafeFileHandle? TryOpenSlave(SafeFileHandle master, int flags, out string reason)
    {
        ArgumentNullException.ThrowIfNull(master);
        int opened = LibC.Result(LibC.ioctl_value((int)master.DangerousGetHandle(), ioctl_tty.TIOCGPTPEER, (nuint)(uint)(flags | fcntl.O_NOCTTY | fcntl.O_CLOEXEC)));
        reason = opened < 0 ? $"the terminal's slave cannot be opened: {System.Runtime.InteropServices.Marshal.GetPInvokeErrorMessage(-opened)}" : "";
        return opened < 0 ? null : new SafeFileHandle(opened, ownsHandle: true);
    }

    /// <summary>Whether it is the master of a pair.</summary>
    public static bool IsMaster(int descriptor)
    {
        uint number;

        // SAFETY: an int on the stack.
        return LibC.ioctl(descriptor, ioctl_tty.TIOCGPTN, &number) == 0;
    }
}
