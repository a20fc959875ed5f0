using System.Globalization;
using System.Text;
using Dpu.Linux;
using Dpu.TestSupport;
using Microsoft.Win32.SafeHandles;

namespace Dpu.Reconciler.Tests.TrafficControl;

/// <summary>A network namespace of its own, which lives as long as a program that sleeps in it.</summary>
internal sealed class NetworkNamespace : IDisposable
{
    private static readonly TimeSpan _limit = TimeSpan.FromSeconds(30);
    private readonly RunningProgram _holder;

    internal NetworkNamespace()
    {
        string own = File.ResolveLinkTarget("/proc/self/ns/net", returnFinalTarget: false)!.Name;
        _holder = RunningProgram.Start("unshare", ["-n", "sleep", "600"]);
        Eventually.True(() => File.ResolveLinkTarget(Place, returnFinalTarget: false)!.Name != own, _limit, "the namespace is there");
    }

    private string Place => string.Create(CultureInfo.InvariantCulture, $"/proc/{_holder.Id}/ns/net");

    internal string Run(params string[] command) => ExternalProgram.Check("nsenter", [$"--net={Place}", .. command], _limit);

    /// <summary>Runs on a thread of its own, which is in the namespace and ends there.</summary>
    internal unsafe T In<T>(Func<T> action)
    {
        T result = default!;
        Exception? failure = null;
        Thread thread = new(() =>
        {
            fixed (byte* name = Encoding.UTF8.GetBytes(Place + '\0'))
            {
                // SAFETY: a NUL-terminated string, pinned during the call.
                using SafeFileHandle space = new(LibC.Result(LibC.openat(fcntl.AT_FDCWD, name, fcntl.O_RDONLY | fcntl.O_CLOEXEC, 0)), ownsHandle: true);
                Assert.AreEqual(0, LibC.setns((int)space.DangerousGetHandle(), sched.CLONE_NEWNET));
            }

            try
            {
                result = action();
            }
            catch (Exception e) when (e is not OutOfMemoryException)
            {
                // Expected: told to the caller, on its own thread.
                failure = e;
            }
        });
        thread.Start();
        thread.Join();
        return failure is null ? result : throw failure;
    }

    public void Dispose() => _holder.Dispose();
}
