using Dpu.Fuse.Ring;

namespace Dpu.Fuse.Tests.Support;

/// <summary>A <see cref="MemoryFileSystem"/> mounted in a temporary folder.</summary>
internal sealed class TestMount : IDisposable
{
    internal static readonly TimeSpan Limit = TimeSpan.FromSeconds(20);
    private readonly string _folder = System.IO.Directory.CreateTempSubdirectory("dpu fuse-").FullName;

    internal TestMount(int threads = 2, TimeProvider? time = null, TimeSpan? stopLimit = null, Action? enterThread = null, FuseRingOptions? ring = null)
    {
        // Switches rings on: the kernel offers what is on when it mounts.
        _ = ring is null ? null : FuseRingSupport.FindRefusal();
        Device = FuseDevice.Mount(new FuseMountOptions { Target = _folder, Source = "test:/x", Subtype = "dpu-test" });
        try
        {
            Dispatcher = new FuseDispatcher(Files, new FuseDispatcherOptions { OnBug = (_, _, bug) => Bugs.Add(bug) });
            Server = FuseServer.Start(Device, Dispatcher, new FuseServerOptions
            {
                Threads = threads,
                Name = "dpu-test",
                Time = time ?? TimeProvider.System,
                StopLimit = stopLimit ?? TimeSpan.FromSeconds(5),
                EnterThread = enterThread ?? FuseWorkerThread.Enter,
                Ring = ring,
            });
        }
        catch
        {
            Device.Dispose();
            throw;
        }
    }

    internal MemoryFileSystem Files { get; } = new();

    internal FuseDevice Device { get; }

    internal FuseDispatcher Dispatcher { get; }

    internal FuseServer Server { get; }

    internal System.Collections.Concurrent.ConcurrentBag<Exception> Bugs { get; } = [];

    internal string Path(string name = "") => System.IO.Path.Combine(_folder, name);

    /// <summary>How often something is mounted on the folder.</summary>
    internal int Mounts => MountTable.At(System.Text.Encoding.UTF8.GetBytes(_folder)).Count;

    internal FuseServerEnd WaitForEnd()
    {
        Assert.IsTrue(Server.Ended.Wait(Limit), "the server does not end");
        return Server.Ended.Result;
    }

    public void Dispose()
    {
        Files.Gate.Set();
        Server.Dispose();
        Device.Dispose();
        Assert.AreEqual(0, Mounts, "a mount is left behind");
        System.IO.Directory.Delete(_folder);
        Assert.IsEmpty(Bugs);
    }
}
