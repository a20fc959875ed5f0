using System.Runtime.InteropServices;
using System.Text;
using Dpu.Linux;
using Microsoft.Win32.SafeHandles;

namespace Dpu.Qtfs.Mount;

/// <summary>Starts one of the programs in C that lie beside the runtime, joined with it by a socket on its descriptor 0.</summary>
internal static unsafe class HelperProgram
{
    /// <summary>Where packages put programs that nobody calls by hand.</summary>
    private const string PackageFolder = "/usr/libexec/dpu";

    private const int PeerNumber = 0;
    private const int FirstNumber = 3;

    /// <summary>Starts it.</summary>
    /// <param name="program">Its name.</param>
    /// <param name="arguments">Its arguments.</param>
    /// <param name="descriptors">What it has as descriptors 3 and on; each open under a higher number here.</param>
    /// <param name="pid">Its process, which somebody must wait for.</param>
    /// <param name="problem">Why it could not be started.</param>
    /// <returns>The other end of its socket (SOCK_SEQPACKET); null where it could not be started.</returns>
    public static SafeFileHandle? TryStart(string program, IReadOnlyList<string> arguments, IReadOnlyList<SafeFileHandle> descriptors, out int pid, out string problem)
    {
        pid = 0;
        string? path = new[] { AppContext.BaseDirectory, PackageFolder }.Select(folder => Path.Combine(folder, program)).FirstOrDefault(File.Exists);
        if (path is null)
        {
            problem = $"there is no '{program}' in {AppContext.BaseDirectory} or {PackageFolder}";
            return null;
        }

        int* ends = stackalloc int[2];

        // SAFETY: two descriptors on the stack.
        if (sys_socket.socketpair(sys_socket.AF_UNIX, sys_socket.SOCK_SEQPACKET | sys_socket.SOCK_CLOEXEC, 0, ends) < 0)
        {
            problem = $"socketpair: {Marshal.GetPInvokeErrorMessage(Marshal.GetLastPInvokeError())}";
            return null;
        }

        var ours = new SafeFileHandle(ends[0], ownsHandle: true);
        using var its = new SafeFileHandle(ends[1], ownsHandle: true);
        int error = Spawn(path, arguments, ends[1], descriptors, out pid);
        if (error != 0)
        {
            ours.Dispose();
            problem = $"{path}: {Marshal.GetPInvokeErrorMessage(error)}";
            return null;
        }

        problem = "";
        return ours;
    }

    /// <summary>Waits for its end, which its socket's end brings.</summary>
    public static void Wait(int pid)
    {
        // SAFETY: no status is asked for.
        while (LibC.Result(LibC.waitpid(pid, null, 0)) == -errno.EINTR)
        {
            // Once more.
        }
    }

    private static int Spawn(string path, IReadOnlyList<string> arguments, int socket, IReadOnlyList<SafeFileHandle> descriptors, out int pid)
    {
        byte[] text = Encoding.UTF8.GetBytes(path + '\0' + string.Concat(arguments.Select(argument => argument + '\0')));
        int held = 0;
        try
        {
            for (bool taken = false; held < descriptors.Count; held++)
            {
                descriptors[held].DangerousAddRef(ref taken);
            }

            // SAFETY: structures on the stack, and names that are pinned; the descriptors are open during the call.
            fixed (byte* program = text)
            {
                posix_spawn_file_actions_t actions;
                int child = 0;
                byte** list = stackalloc byte*[arguments.Count + 2];
                int at = 0;
                for (int i = 0; i <= arguments.Count; i++)
                {
                    list[i] = program + at;
                    at += MemoryMarshal.CreateReadOnlySpanFromNullTerminated(program + at).Length + 1;
                }

                list[arguments.Count + 1] = null;
                byte** environment = stackalloc byte*[] { null };
                int error = LibC.posix_spawn_file_actions_init(&actions);
                if (error == 0)
                {
                    error = LibC.posix_spawn_file_actions_adddup2(&actions, socket, PeerNumber);
                    for (int i = 0; error == 0 && i < descriptors.Count; i++)
                    {
                        error = LibC.posix_spawn_file_actions_adddup2(&actions, (int)descriptors[i].DangerousGetHandle(), FirstNumber + i);
                    }

                    error = error != 0 ? error : LibC.posix_spawn(&child, program, &actions, null, list, environment);
                    _ = LibC.posix_spawn_file_actions_destroy(&actions);
                }

                pid = child;
                return error;
            }
        }
        finally
        {
            while (held > 0)
            {
                descriptors[--held].DangerousRelease();
            }
        }
    }
}
