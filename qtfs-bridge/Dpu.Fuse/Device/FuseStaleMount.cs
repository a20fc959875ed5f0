using Dpu.Linux;

namespace Dpu.Fuse;

/// <summary>Finds and removes mounts whose server has died: every access to them fails with ENOTCONN.</summary>
internal static unsafe class FuseStaleMount
{
    /// <summary>How long a server has to answer before it counts as hanging. A dead one answers at once: the kernel does.</summary>
    private static readonly TimeSpan AnswerLimit = TimeSpan.FromSeconds(2);

    /// <summary>Mounts on top of each other that are removed at most: another one means that somebody keeps mounting.</summary>
    private const int MostLayers = 16;

    /// <summary>Removes dead FUSE mounts from a target, the top one first; leaves everything else.</summary>
    /// <exception cref="FuseMountException">The mount there does not answer, so that nobody can say whether it is dead.</exception>
    internal static void RemoveFrom(string target)
    {
        byte[] path = MountPath.Canonical(target);
        for (int i = 0; i < MostLayers && MountTable.At(path).LastOrDefault() is { IsFuse: true } top; i++)
        {
            int answer = Ask(path, target);
            if (answer is not (-errno.ENOTCONN or -errno.ECONNABORTED))
            {
                return;
            }

            RemoveDead(path, target, top);
        }
    }

    /// <summary>Detaches the top mount, which is known to be dead.</summary>
    internal static void RemoveDead(ReadOnlySpan<byte> path, string target, MountTableEntry dead)
    {
        int result = MountPath.Unmount(path, lazy: true);
        if (result is not (0 or -errno.EINVAL))
        {
            throw new FuseMountException($"Removing the dead mount {dead.Minor} from '{target}' failed", -result);
        }
    }

    /// <summary>Asks the mount for its root's attributes, on a thread of its own: a hanging server holds whoever asks.</summary>
    private static int Ask(byte[] path, string target)
    {
        int answer = 0;
        var thread = new Thread(() =>
        {
            fixed (byte* name = path.AsSpan().ToNulTerminated())
            {
                // SAFETY: a NUL-terminated string, pinned, and a struct on this stack.
                statx attributes;
                answer = LibC.Result(LibC.statx(fcntl.AT_FDCWD, name, fcntl.AT_STATX_FORCE_SYNC, stat.STATX_BASIC_STATS, &attributes));
            }
        })
        {
            IsBackground = true,
            Name = "fuse-ask",
        };
        thread.Start();
        return thread.Join(AnswerLimit)
            ? answer
            : throw new FuseMountException($"The mount on '{target}' does not answer within {AnswerLimit.TotalSeconds} s", errno.ETIMEDOUT, "end its server or unmount it");
    }
}
