using System.Globalization;
using System.Text;
using Dpu.Linux;
using Dpu.Relay.Descriptors;
using Microsoft.Win32.SafeHandles;

namespace Dpu.Runtime.Views;

/// <summary>The first process of a view, which was started by this runtime or by an earlier one.</summary>
/// <param name="Process">Its number.</param>
/// <param name="Pidfd">It.</param>
internal sealed record ViewInit(int Process, SafeFileHandle Pidfd) : IDisposable
{
    /// <summary>The one that has a state file locked; null where none has, or it has just ended.</summary>
    public static unsafe ViewInit? Find(string file)
    {
        // Not as .NET opens files: that would lock it.
        using SafeFileHandle? state = Descriptor.TryOpen(file, fcntl.O_RDONLY | fcntl.O_CLOEXEC, out _);
        if (state is null || !IsLocked(state))
        {
            return null;
        }

        Span<byte> text = stackalloc byte[16];
        int length = RandomAccess.Read(state, text, 0);
        if (!int.TryParse(Encoding.ASCII.GetString(text[..length]).TrimEnd('\n'), NumberStyles.None, CultureInfo.InvariantCulture, out int process) || process <= 1)
        {
            return null;
        }

        int pidfd = LibC.Result(LibC.pidfd_open(process, 0));
        if (pidfd < 0)
        {
            return null;
        }

        // Still locked: so the number was not another process's by then.
        var found = new ViewInit(process, new SafeFileHandle(pidfd, ownsHandle: true));
        if (IsLocked(state))
        {
            return found;
        }

        found.Dispose();
        return null;
    }

    /// <summary>Whether it has not ended.</summary>
    public bool IsAlive => (poll.Now(Pidfd, poll.POLLIN) & poll.POLLIN) == 0;

    /// <summary>Whether it has begun to end: a process gives up its namespaces before it ends those in its own.</summary>
    public bool IsEnding => Namespace("mnt").Length == 0;

    /// <summary>Ends it and all that runs in its view; false where that takes longer.</summary>
    public unsafe bool Kill(TimeSpan limit)
    {
        _ = LibC.pidfd_send_signal((int)Pidfd.DangerousGetHandle(), signal.SIGKILL, null);
        return poll.WaitReadable(Pidfd, limit);
    }

    /// <summary>A namespace of it, as <c>pid:[number]</c>; empty where it has ended.</summary>
    public string Namespace(string kind) => NamespaceOf(Process, kind);

    /// <summary>A namespace of a process or thread; empty where that has ended.</summary>
    public static string NamespaceOf(int process, string kind)
    {
        try
        {
            return File.ResolveLinkTarget(string.Create(CultureInfo.InvariantCulture, $"/proc/{process}/ns/{kind}"), returnFinalTarget: false)?.Name ?? "";
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // Expected: it has ended.
            return "";
        }
    }

    /// <summary>Other processes in the view, by their numbers here.</summary>
    public IReadOnlyList<int> Others()
    {
        string own = Namespace("pid");
        List<int> others = [];
        foreach (string folder in own.Length > 0 ? Directory.EnumerateDirectories("/proc") : [])
        {
            if (int.TryParse(Path.GetFileName(folder), NumberStyles.None, CultureInfo.InvariantCulture, out int process) && process != Process && NamespaceOf(process, "pid") == own)
            {
                others.Add(process);
            }
        }

        return others;
    }

    /// <inheritdoc/>
    public void Dispose() => Pidfd.Dispose();

    private static bool IsLocked(SafeFileHandle state)
    {
        int result = LibC.Result(LibC.flock((int)state.DangerousGetHandle(), sys_file.LOCK_SH | sys_file.LOCK_NB));
        if (result == 0)
        {
            _ = LibC.flock((int)state.DangerousGetHandle(), sys_file.LOCK_UN);
        }

        return result == -errno.EAGAIN;
    }
}
