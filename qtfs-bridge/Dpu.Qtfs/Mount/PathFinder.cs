using System.Runtime.InteropServices;
using Dpu.Linux;
using Microsoft.Win32.SafeHandles;

namespace Dpu.Qtfs.Mount;

/// <summary>A file of this machine as <see cref="PathFinder"/> has found it.</summary>
/// <param name="Device">Its device, major &lt;&lt; 32 | minor.</param>
/// <param name="Node">The FUSE node; 0 where it is none.</param>
/// <param name="IsRoot">Whether it is what a mount begins with.</param>
public readonly record struct FoundFile(long Device, ulong Node, bool IsRoot);

/// <summary>
/// Finds what programs name, by processes (<c>native/finder.c</c>) that may wait for what this one serves and can be left behind: a thread of this process that
/// waited there could not be killed. Thread-safe; its calls block until a host has answered.
/// </summary>
public sealed unsafe class PathFinder : IDisposable
{
    private const string Program = "dpu-finder";
    private const int HeadSize = 8;

    // As many as were ever busy at once stay, within reason.
    private const int MostIdle = 4;

    private readonly Lock _lock = new();
    private readonly Stack<(SafeFileHandle Socket, int Process)> _idle = [];
    private bool _disposed;

    /// <summary>Finds what a program names, from its root, working directory and descriptors, as the kernel would for it.</summary>
    /// <param name="thread">The program, or a thread of it.</param>
    /// <param name="path">What it names.</param>
    /// <param name="follow">Whether a symbolic link at the path's end is followed.</param>
    /// <param name="found">The file.</param>
    /// <returns>0 or a negated errno: ELOOP where a magic link of /proc is on the way, but a descriptor's at its beginning.</returns>
    public int Find(uint thread, ReadOnlySpan<byte> path, bool follow, out FoundFile found)
    {
        found = default;
        if (path.IsEmpty || path.Length > limits.PATH_MAX)
        {
            return path.IsEmpty ? -errno.ENOENT : -errno.ENAMETOOLONG;
        }

        byte[] request = new byte[HeadSize + path.Length];
        MemoryMarshal.Write(request, thread);
        request[4] = follow ? (byte)1 : (byte)0;
        path.CopyTo(request.AsSpan(HeadSize));
        Span<long> said = stackalloc long[4];

        // One that somebody has ended is replaced, once: to look twice does no harm.
        for (int tried = 0; tried < 2; tried++)
        {
            if (Take() is not { } finder)
            {
                return -errno.EAGAIN;
            }

            if (Ask(finder.Socket, request, said))
            {
                Give(finder);
                found = new FoundFile(said[1], (ulong)said[2], said[3] != 0);
                return (int)said[0];
            }

            End(finder);
        }

        return -errno.EAGAIN;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        lock (_lock)
        {
            _disposed = true;
            while (_idle.TryPop(out (SafeFileHandle Socket, int Process) finder))
            {
                End(finder);
            }
        }
    }

    private static bool Ask(SafeFileHandle socket, byte[] request, Span<long> said)
    {
        int descriptor = (int)socket.DangerousGetHandle();
        fixed (byte* asks = request)
        fixed (long* into = said)
        {
            // SAFETY: pinned, with their lengths; the socket is this thread's alone until it is given back.
            if (LibC.Result(sys_socket.send(descriptor, asks, (nuint)request.Length, sys_socket.MSG_NOSIGNAL)) < 0)
            {
                return false;
            }

            long got;
            do
            {
                got = LibC.Result(sys_socket.recv(descriptor, into, (nuint)(said.Length * sizeof(long)), 0));
            }
            while (got == -errno.EINTR);

            return got == said.Length * sizeof(long);
        }
    }

    private (SafeFileHandle Socket, int Process)? Take()
    {
        lock (_lock)
        {
            if (_disposed)
            {
                return null;
            }

            if (_idle.TryPop(out (SafeFileHandle, int) idle))
            {
                return idle;
            }
        }

        return HelperProgram.TryStart(Program, [], [], out int process, out _) is { } socket ? (socket, process) : null;
    }

    private void Give((SafeFileHandle Socket, int Process) finder)
    {
        lock (_lock)
        {
            if (!_disposed && _idle.Count < MostIdle)
            {
                _idle.Push(finder);
                return;
            }
        }

        End(finder);
    }

    // It waits for nothing, and ends with its socket.
    private static void End((SafeFileHandle Socket, int Process) finder)
    {
        finder.Socket.Dispose();
        HelperProgram.Wait(finder.Process);
    }
}
