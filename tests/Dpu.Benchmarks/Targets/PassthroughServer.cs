using System.Runtime.InteropServices;
using Dpu.Fuse;
using Dpu.Fuse.Ring;

namespace Dpu.Benchmarks.Targets;

/// <summary>The child process of <see cref="PassthroughTarget"/>: serves a directory at a mount point until either ends.</summary>
internal static class PassthroughServer
{
    /// <summary>The first argument of such a child.</summary>
    public const string Verb = "serve-passthrough";

    /// <summary>Serves; returns 0 at the end of the mount or at SIGTERM.</summary>
    public static int Run(string root, string target, bool ring)
    {
        using PassthroughFileSystem files = new(new PassthroughOptions { Root = root, Identity = IdentityPolicy.Trusting });
        FuseDispatcher dispatcher = new(files, new FuseDispatcherOptions());
        using FuseDevice device = FuseDevice.Mount(new FuseMountOptions { Target = target, Source = root, Subtype = "dpu-bench" });
        using FuseServer server = FuseServer.Start(device, dispatcher, new FuseServerOptions { EnterThread = FuseWorkerThread.Enter, Ring = ring ? new FuseRingOptions() : null });
        if (server.RingRefusal is { } refusal)
        {
            // Another transport's figures under this name would mislead.
            Console.Error.WriteLine($"dpu-bench: no io_uring: {refusal}");
            return 1;
        }

        using ManualResetEventSlim stop = new();
        using PosixSignalRegistration registration = PosixSignalRegistration.Create(PosixSignal.SIGTERM, context =>
        {
            context.Cancel = true;
            stop.Set();
        });
        WaitHandle.WaitAny([stop.WaitHandle, ((IAsyncResult)server.Ended).AsyncWaitHandle]);
        return 0;
    }
}
