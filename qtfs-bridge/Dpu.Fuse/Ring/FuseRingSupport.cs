using System.Globalization;
using System.Runtime.InteropServices;
using Dpu.Linux;

namespace Dpu.Fuse.Ring;

/// <summary>Whether this machine can have FUSE over io_uring, and what is missing where it cannot.</summary>
public static class FuseRingSupport
{
    /// <summary>The kernel's switch for the whole machine, off by default (Linux 6.14).</summary>
    private const string Parameter = "/sys/module/fuse/parameters/enable_uring";
    private const string PossibleProcessors = "/sys/devices/system/cpu/possible";

    /// <summary>How many queues a connection has: one for each processor that this machine may ever have.</summary>
    public static int Queues => CountProcessors(File.ReadAllText(PossibleProcessors));

    /// <summary>Looks whether rings can be made, and switches them on in the kernel where they are off and we may.</summary>
    /// <returns>Null where all is well, else what is missing and what to do.</returns>
    public static string? FindRefusal() => FindRefusal(Parameter);

    /// <summary>As <see cref="FindRefusal()"/>, with another place of the kernel's switch.</summary>
    internal static string? FindRefusal(string parameter)
    {
        try
        {
            if (!IsOn(parameter))
            {
                File.WriteAllText(parameter, "Y");
                if (!IsOn(parameter))
                {
                    return $"{parameter} stays off; load the module with fuse.enable_uring=1";
                }
            }
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            return "this kernel has no FUSE over io_uring (Linux 6.14 with CONFIG_FUSE_IO_URING has)";
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return $"{parameter} is off and cannot be switched on ({e.Message}); write Y to it as root, or load the module with fuse.enable_uring=1";
        }

        int result = IoUring.TryCreate(8, out IoUring? ring);
        ring?.Dispose();
        return result == 0 ? null : $"an io_uring cannot be made: {Marshal.GetPInvokeErrorMessage(-result)} (errno {-result}){(Advice(-result) is { } advice ? "; " + advice : "")}";
    }

    /// <summary>What to do about an errno of io_uring_setup(2); null where nothing is known.</summary>
    internal static string? Advice(int error) => error switch
    {
        errno.ENOSYS or errno.EINVAL => "Linux 6.1 is the oldest that has the rings that are needed",
        errno.EPERM => "sysctl kernel.io_uring_disabled or a seccomp filter of this service forbids it",
        errno.ENOMEM => "raise the limit of locked memory (LimitMEMLOCK=) of this service",
        _ => null,
    };

    /// <summary>The number of processors in a list as <c>0-3,8</c>. Pure.</summary>
    internal static int CountProcessors(string list)
    {
        int count = 0;
        foreach (string range in list.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries))
        {
            string[] ends = range.Split('-');
            int first = int.Parse(ends[0], CultureInfo.InvariantCulture);
            count += int.Parse(ends[^1], CultureInfo.InvariantCulture) - first + 1;
        }

        return count;
    }

    /// <summary>Keeps the calling thread on one processor, as far as that one runs: a request is then served where it was made.</summary>
    public static unsafe void Pin(int processor)
    {
        const int Words = 16;
        ulong* mask = stackalloc ulong[Words];
        new Span<ulong>(mask, Words).Clear();
        if (processor < Words * 64)
        {
            mask[processor / 64] = 1UL << (processor % 64);

            // SAFETY: as many bytes as are said. A failure (a processor that is off) leaves the thread as it was.
            _ = LibC.sched_setaffinity(0, Words * sizeof(ulong), mask);
        }
    }

    private static bool IsOn(string parameter) => File.ReadAllText(parameter).Trim() is "Y" or "1";
}
