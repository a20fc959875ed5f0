using System.Globalization;
using System.Text;
using Dpu.Linux;
using Microsoft.Win32.SafeHandles;

namespace Dpu.Fuse;

/// <summary>
/// The kernel's own hold on FUSE connections (fusectl, <c>Documentation/filesystems/fuse.rst</c>). It works where nothing
/// else does: when the server hangs inside its own mount and its threads cannot be killed.
/// </summary>
/// <remarks>
/// The control file system is opened through a mount that no path leads to (fsopen(2), Linux 5.2), so it need not be
/// mounted, nothing is left behind, and nobody else's mount stands in between. Needs CAP_SYS_ADMIN.
/// </remarks>
public static unsafe class FuseControl
{
    /// <summary>Aborts a connection: every request of it, under way and to come, fails. Blocks shortly.</summary>
    /// <param name="connection">The connection's number.</param>
    /// <returns>0, <c>-ENOENT</c> where there is no such connection, or another negated errno.</returns>
    public static int Abort(long connection) => Write(connection, "abort");

    private static int Write(long connection, string file)
    {
        int root = OpenRoot();
        if (root < 0)
        {
            return root;
        }

        using var rootHandle = new SafeFileHandle(root, ownsHandle: true);
        byte[] path = Encoding.UTF8.GetBytes(string.Create(CultureInfo.InvariantCulture, $"{connection}/{file}\0"));
        int control;
        fixed (byte* name = path)
        {
            // SAFETY: a NUL-terminated string, pinned during the call.
            control = LibC.Result(LibC.openat(root, name, fcntl.O_WRONLY | fcntl.O_CLOEXEC, 0));
        }

        if (control < 0)
        {
            return control;
        }

        using var controlHandle = new SafeFileHandle(control, ownsHandle: true);
        byte one = (byte)'1';

        // SAFETY: one byte on the stack.
        return (int)Math.Min(LibC.Result(LibC.write(control, &one, 1)), 0);
    }

    private static int OpenRoot()
    {
        int context;
        fixed (byte* type = "fusectl\0"u8)
        {
            // SAFETY: a NUL-terminated constant.
            context = LibC.Result(LibC.fsopen(type, mount.FSOPEN_CLOEXEC));
        }

        if (context < 0)
        {
            return context;
        }

        using var contextHandle = new SafeFileHandle(context, ownsHandle: true);

        // SAFETY: this command takes neither key nor value.
        int created = LibC.Result(LibC.fsconfig(context, mount.FSCONFIG_CMD_CREATE, null, null, 0));
        return created < 0 ? created : LibC.Result(LibC.fsmount(context, mount.FSMOUNT_CLOEXEC, 0));
    }
}
