using Microsoft.Win32.SafeHandles;

namespace Dpu.Fuse.Ring;

/// <summary>
/// The ring threads of a server. Their rings are made before FUSE_INIT is answered: once the kernel was told of rings,
/// it lets no request pass until each queue has one.
/// </summary>
internal sealed class FuseRingWorkers : IDisposable
{
    private static readonly TimeSpan SetUpLimit = TimeSpan.FromSeconds(10);

    private readonly FuseRingWorker[] _workers;
    private readonly CountdownEvent _prepared;
    private readonly ManualResetEventSlim _go = new();
    private string? _refusal;
    private volatile bool _use;

    private FuseRingWorkers(FuseRingWorker[] workers)
    {
        _workers = workers;
        _prepared = new CountdownEvent(workers.Length);
    }

    /// <summary>The threads, whether they serve or have given up.</summary>
    internal IReadOnlyList<FuseRingWorker> Workers => _workers;

    /// <summary>Makes a worker for each queue and thread; <see cref="Enter"/> is what each thread does first.</summary>
    internal static FuseRingWorkers Create(FuseDevice device, FuseDispatcher dispatcher, FuseRingOptions options, TimeProvider time)
    {
        var workers = new List<FuseRingWorker>();
        for (int queue = 0; queue < FuseRingSupport.Queues; queue++)
        {
            for (int i = 0; i < options.ThreadsPerQueue; i++)
            {
                SafeFileHandle clone = device.Clone();
                workers.Add(new FuseRingWorker(dispatcher, clone, queue, options.Depth, time));
            }
        }

        return new FuseRingWorkers([.. workers]);
    }

    /// <summary>On a worker's thread: makes its ring, and waits until the connection is negotiated.</summary>
    /// <returns>Whether the worker is to serve.</returns>
    internal bool Enter(FuseRingWorker worker)
    {
        try
        {
            worker.Prepare();
        }
        catch (FuseMountException e)
        {
            Interlocked.CompareExchange(ref _refusal, e.Message, null);
        }

        _prepared.Signal();
        _go.Wait();
        return _use;
    }

    /// <summary>Waits until every ring is made.</summary>
    /// <returns>Null, or why one could not be made.</returns>
    internal string? AwaitPrepared() =>
        _prepared.Wait(SetUpLimit) ? Volatile.Read(ref _refusal) : $"the rings were not made within {SetUpLimit.TotalSeconds} s";

    /// <summary>Lets the threads serve, or end.</summary>
    internal void Go(bool use)
    {
        if (!_go.IsSet)
        {
            _use = use;
            _go.Set();
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _prepared.Dispose();
        _go.Dispose();
    }
}
