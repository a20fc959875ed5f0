using Dpu.Linux;
using static Dpu.Linux.LibC;

namespace Dpu.Fuse;

/// <summary>The process's limit of open descriptors: every handle that peers hold is one, and nodes are some (<see cref="DescriptorWindow"/>).</summary>
public static unsafe class FileDescriptorLimit
{
    /// <summary>Raises the soft limit to the hard one, which needs no privilege, and returns it.</summary>
    /// <exception cref="IOException">The kernel refused; the message says what.</exception>
    public static long RaiseToHard()
    {
        rlimit limit;
        int error = Result(getrlimit(resource.RLIMIT_NOFILE, &limit));
        if (error == 0 && limit.rlim_cur != limit.rlim_max)
        {
            limit.rlim_cur = limit.rlim_max;
            error = Result(setrlimit(resource.RLIMIT_NOFILE, &limit));
        }

        return error == 0
            ? (long)Math.Min(limit.rlim_max, long.MaxValue)
            : throw new IOException($"Could not raise the limit of open files to its maximum: errno {-error}. Set LimitNOFILE= of the service, or ulimit -n.");
    }
}
