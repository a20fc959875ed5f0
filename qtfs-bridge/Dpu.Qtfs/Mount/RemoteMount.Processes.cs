using Dpu.Proto.V1;
using Dpu.Qtfs.Mount.Processes;

namespace Dpu.Qtfs.Mount;

// A mount of a host's procfs into which this machine's own processes are put.
public sealed partial class RemoteMount
{
    private OwnProcessesMount? _processes;

    /// <summary>What puts this machine's processes into the mount; null where nothing does.</summary>
    internal ProcessMerge? Merge { get; }

    // Of the kernel's own trees nothing may be kept.
    private static RemoteMountOptions Uncached(RemoteMountOptions options) =>
        options.OwnProcesses ? options with { Coherent = false, CacheTimeout = TimeSpan.Zero } : options;

    private static ProcessMerge? MergeOf(RemoteMountOptions options) =>
        !options.OwnProcesses ? null
        : options.Target != "/proc" ? new ProcessMerge(new OwnProcesses(options.ProcessFolder))
        : throw new IOException("a mount with this machine's own processes cannot be on /proc, which the runtime itself needs; mount it elsewhere, and bind it there in a mount namespace of its own (mount --rbind)");

    private void RequireKind(FsResult served)
    {
        if (Merge is not null && served.Kind != ExportKind.Proc)
        {
            throw new IOException($"export '{Options.Export}' of host '{Options.Host}' is not of kind \"proc\", so that no processes can be put into it; give the export that kind on the host, or mount it as \"plain\"");
        }
    }

    private void AttachProcesses()
    {
        if (Merge is not { } merge)
        {
            return;
        }

        _processes = new OwnProcessesMount(merge.Processes.Folder, Options.Target);
        try
        {
            _processes.Attach();
        }
        catch
        {
            _device.Unmount(lazy: true);
            Dispose();
            throw;
        }
    }

    // What an earlier runtime has mounted there. The way to it may lead to the host: on a thread of its own.
    private void AdoptProcesses()
    {
        if (Merge is { } merge)
        {
            _processes = new OwnProcessesMount(merge.Processes.Folder, Options.Target);
            _ = StartThread("processes", _processes.Adopt);
        }
    }

    /// <summary>Tells the kernel something that it did not ask for; what it does not take is of no consequence.</summary>
    internal unsafe void Notify(byte* message, int length) => _ = Dpu.Fuse.FuseDevice.WriteReply(_device.Handle, message, length);

    private void ReattachProcesses()
    {
        try
        {
            _processes?.Attach();
        }
        catch (IOException e)
        {
            // Why it could not be unmounted is what the caller is told.
            Volatile.Write(ref _fault, e.Message);
        }
    }
}
