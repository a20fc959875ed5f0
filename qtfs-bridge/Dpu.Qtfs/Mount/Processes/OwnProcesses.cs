using System.Buffers.Text;
using System.Runtime.CompilerServices;
using System.Text;
using Dpu.Linux;
using Microsoft.Win32.SafeHandles;
using static Dpu.Linux.LibC;

namespace Dpu.Qtfs.Mount.Processes;

/// <summary>
/// Which numbers are processes of the DPU to whoever asks; all others are the host's. Thread-safe, allocation-free after
/// its making.
/// </summary>
/// <remarks>
/// Without a procfs of its own (<see cref="RemoteMountOptions.ProcessFolder"/>) a process of the DPU has as its group those of its
/// session (setsid(2)); two sessions that use the same number each see their own process there. With one, the group is all
/// that this procfs shows, a pid namespace, to everybody. A number that both the group and the host have is the group's.
/// </remarks>
internal sealed unsafe class OwnProcesses : IDisposable
{
    private const ulong ProcRootInode = 1;
    private const int PathSize = 64;

    private readonly SafeFileHandle _folder;
    private readonly bool _whole;

    /// <summary>Opens the DPU's procfs.</summary>
    /// <param name="folder">Where the procfs of a pid namespace is mounted; null for this process's own, by sessions.</param>
    /// <exception cref="IOException">It is no procfs's top.</exception>
    public OwnProcesses(string? folder)
    {
        _whole = folder is not null;
        Folder = folder ?? "/proc";
        int opened;
        fixed (byte* path = Encoding.UTF8.GetBytes(Folder + '\0'))
        {
            // SAFETY: a NUL-terminated string, pinned during the call.
            opened = Result(openat(fcntl.AT_FDCWD, path, fcntl.O_PATH | fcntl.O_DIRECTORY | fcntl.O_CLOEXEC, 0));
        }

        _folder = new SafeFileHandle(opened, ownsHandle: true);
        if (opened < 0 || !IsProcfs(opened))
        {
            _folder.Dispose();
            throw new IOException(opened < 0
                ? $"'{Folder}', where the DPU's own processes should be, cannot be opened: errno {-opened}"
                : $"'{Folder}', where the DPU's own processes should be, is not the top of a procfs; mount one there (mount -t proc)");
        }
    }

    /// <summary>Where that procfs is mounted.</summary>
    public string Folder { get; }

    private int Descriptor => (int)_folder.DangerousGetHandle();

    /// <summary>Whether a number is a process of the caller's group.</summary>
    /// <param name="number">The number of a process, or of a thread.</param>
    /// <param name="caller">The thread that asks, as a FUSE header names it; 0 where it is in a pid namespace that is not below this process's.</param>
    public bool IsOwn(int number, uint caller)
    {
        if (_whole)
        {
            return Exists(number, 0);
        }

        if (caller == 0)
        {
            return false;
        }

        // The session is 0 where its leader is outside of this pid namespace: then nothing tells it from other such ones.
        int session = getsid((int)caller);
        return session > 0 ? getsid(number) == session : Exists(number, caller);
    }

    /// <summary>Writes where <c>self</c> or <c>thread-self</c> leads for a caller; the length, or a negated errno.</summary>
    /// <param name="caller">The thread that asks.</param>
    /// <param name="ofThread">Whether it is <c>thread-self</c>.</param>
    /// <param name="target">At least 64 bytes.</param>
    public int WriteSelf(uint caller, bool ofThread, Span<byte> target)
    {
        if (_whole)
        {
            // By the kernel, in the namespace of that procfs.
            ReadOnlySpan<byte> text = ofThread ? ".local/thread-self"u8 : ".local/self"u8;
            text.CopyTo(target);
            return text.Length;
        }

        int leader = caller == 0 ? 0 : LeaderOf(caller);
        if (leader <= 0)
        {
            return -errno.ENOENT;
        }

        _ = Utf8Formatter.TryFormat(leader, target, out int length);
        if (ofThread)
        {
            "/task/"u8.CopyTo(target[length..]);
            _ = Utf8Formatter.TryFormat(caller, target[(length + 6)..], out int more);
            length += 6 + more;
        }

        return length;
    }

    /// <summary>Opens a list of all processes; the descriptor, or a negated errno.</summary>
    public int OpenList()
    {
        byte* self = stackalloc byte[2] { (byte)'.', 0 };
        return Result(openat(Descriptor, self, fcntl.O_RDONLY | fcntl.O_DIRECTORY | fcntl.O_CLOEXEC, 0));
    }

    /// <inheritdoc/>
    public void Dispose() => _folder.Dispose();

    // Whether a process, and where one is given its thread, is there.
    [SkipLocalsInit]
    private bool Exists(int number, uint thread)
    {
        byte* path = stackalloc byte[PathSize];
        var text = new Span<byte>(path, PathSize);
        _ = Utf8Formatter.TryFormat(number, text, out int length);
        if (thread != 0)
        {
            "/task/"u8.CopyTo(text[length..]);
            _ = Utf8Formatter.TryFormat(thread, text[(length + 6)..], out int more);
            length += 6 + more;
        }

        text[length] = 0;
        return faccessat2(Descriptor, path, unistd.F_OK, fcntl.AT_SYMLINK_NOFOLLOW) == 0;
    }

    // The fourth line of /proc/TID/status (proc_pid_status(5)), within its first bytes whatever the name is.
    [SkipLocalsInit]
    private int LeaderOf(uint thread)
    {
        const int size = 512;
        byte* buffer = stackalloc byte[size];
        var text = new Span<byte>(buffer, size);
        _ = Utf8Formatter.TryFormat(thread, text, out int length);
        "/status\0"u8.CopyTo(text[length..]);
        int status = Result(openat(Descriptor, buffer, fcntl.O_RDONLY | fcntl.O_CLOEXEC, 0));
        if (status < 0)
        {
            return status;
        }

        int read = (int)LibC.read(status, buffer, size);
        _ = close(status);
        ReadOnlySpan<byte> key = "\nTgid:\t"u8;
        int at = read <= 0 ? -1 : text[..read].IndexOf(key);
        return at >= 0 && Utf8Parser.TryParse(text[(at + key.Length)..read], out int leader, out _) ? leader : -errno.ESRCH;
    }

    private static bool IsProcfs(int descriptor)
    {
        statfs state;
        statx status;
        byte empty = 0;
        return fstatfs(descriptor, &state) == 0 && state.f_type == magic.PROC_SUPER_MAGIC
            && statx(descriptor, &empty, fcntl.AT_EMPTY_PATH, stat.STATX_INO, &status) == 0 && status.stx_ino == ProcRootInode;
    }
}
