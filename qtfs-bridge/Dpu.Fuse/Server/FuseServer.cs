using System.Diagnostics.CodeAnalysis;
using Dpu.Fuse.Ring;
using Dpu.Linux;
using Microsoft.Win32.SafeHandles;

namespace Dpu.Fuse;

/// <summary>
/// Serves a mount on dedicated threads. Ends when the mount does: by <see cref="Dispose"/>, by umount(8) of anybody, or
/// by an abort. Thread-safe.
/// </summary>
public sealed class FuseServer : IDisposable
{
    private readonly FuseDevice _device;
    private readonly FuseDispatcher _dispatcher;
    private readonly FuseServerOptions _options;
    private readonly FuseWorker[] _workers;
    private readonly FuseRingWorkers? _rings;
    private readonly TaskCompletionSource<FuseServerEnd> _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private FuseServerEnd? _firstEnd;
    private int _running;

    private FuseServer(FuseDevice device, FuseDispatcher dispatcher, FuseServerOptions options, SafeFileHandle[] clones)
    {
        _device = device;
        _dispatcher = dispatcher;
        _options = options;
        _rings = options.Ring is { } ring ? FuseRingWorkers.Create(device, dispatcher, ring, options.Time) : null;
        _workers = [.. clones.Select(clone => new FuseWorker(dispatcher, clone, options.Time, StartRings))];
        _running = clones.Length + (_rings?.Workers.Count ?? 0);
    }

    /// <summary>Why rings were asked for and are not used; null where they are, or were not asked for.</summary>
    public string? RingRefusal { get; private set; }

    /// <summary>Whether requests come by rings.</summary>
    public bool UsesRings => (_dispatcher.Negotiation?.Flags & Wire.FuseUringConstants.FUSE_OVER_IO_URING) is not (null or 0);

    /// <summary>Ends once every thread has; never faults.</summary>
    public Task<FuseServerEnd> Ended => _ended.Task;

    /// <summary>How many threads still serve.</summary>
    public int RunningThreads => Volatile.Read(ref _running);

    /// <summary>Replies that the kernel refused as malformed: bugs, whose requesters got EIO.</summary>
    public long RefusedReplies => _workers.Sum(worker => worker.RefusedReplies);

    /// <summary>For how long the oldest request under way has been served; null where there is none.</summary>
    public TimeSpan? OldestRequestAge
    {
        get
        {
            long now = _options.Time.GetTimestamp();
            TimeSpan? oldest = null;
            foreach (long since in _workers.Select(worker => worker.BusySince).Concat(_rings?.Workers.Select(worker => worker.BusySince) ?? []))
            {
                if (since != 0 && (oldest is null || _options.Time.GetElapsedTime(since, now) > oldest))
                {
                    oldest = _options.Time.GetElapsedTime(since, now);
                }
            }

            return oldest;
        }
    }

    /// <summary>Starts the threads. The server owns neither; dispose it before the device.</summary>
    /// <exception cref="FuseMountException">The device could not be cloned.</exception>
    public static FuseServer Start(FuseDevice device, FuseDispatcher dispatcher, FuseServerOptions options)
    {
        ArgumentNullException.ThrowIfNull(device);
        ArgumentNullException.ThrowIfNull(dispatcher);
        ArgumentNullException.ThrowIfNull(options);
        ArgumentOutOfRangeException.ThrowIfLessThan(options.Threads, 1);
        var clones = new List<SafeFileHandle>();
        try
        {
            for (int i = 0; i < options.Threads; i++)
            {
                clones.Add(device.Clone());
            }
        }
        catch
        {
            clones.ForEach(clone => clone.Dispose());
            throw;
        }

        var server = new FuseServer(device, dispatcher, options, [.. clones]);
        server.PrepareRings();
        for (int i = 0; i < server._workers.Length; i++)
        {
            FuseWorker worker = server._workers[i];
            new Thread(() => server.Run(worker.Run, worker.Close)) { IsBackground = true, Name = $"{options.Name}-{i}" }.Start();
        }

        return server;
    }

    private void PrepareRings()
    {
        if (_rings is null)
        {
            return;
        }

        RingRefusal = FuseRingSupport.FindRefusal();
        for (int i = 0; i < _rings.Workers.Count; i++)
        {
            FuseRingWorker worker = _rings.Workers[i];
            Func<FuseServerEnd?> body = () => _rings.Enter(worker) ? worker.Run() : null;
            new Thread(() => Run(body, worker.Close)) { IsBackground = true, Name = $"{_options.Name}-r{i}" }.Start();
        }

        RingRefusal = _rings.AwaitPrepared() ?? RingRefusal;
        if (RingRefusal is null)
        {
            _dispatcher.TransportFeatures = Wire.FuseUringConstants.FUSE_OVER_IO_URING;
        }
        else
        {
            _rings.Go(use: false);
        }
    }

    // FUSE_INIT is answered: only now does the kernel take slots.
    private void StartRings()
    {
        if (_rings is not null)
        {
            RingRefusal ??= UsesRings ? null : "this kernel does not offer FUSE over io_uring";
            _rings.Go(RingRefusal is null);
        }
    }

    /// <summary>
    /// Unmounts lazily and waits for the threads; what is still under way after <see cref="FuseServerOptions.StopLimit"/>
    /// is aborted. Returns within twice that limit; a thread that the file system never gives back is left behind
    /// (<see cref="RunningThreads"/> says so), as nothing can end it.
    /// </summary>
    public void Dispose()
    {
        try
        {
            _device.Unmount(lazy: true);
        }
        catch (FuseMountException)
        {
            // Covered by another mount: the abort below ends the connection all the same.
        }

        if (_ended.Task.Wait(_device.Connected ? _options.StopLimit : TimeSpan.Zero))
        {
            return;
        }

        Abort();
        _ended.Task.Wait(_options.StopLimit);
    }

    [SuppressMessage("Design", "CA1031", Justification = "Whatever ends a thread must be recorded and must not leave requesters waiting.")]
    private void Run(Func<FuseServerEnd?> body, Action close)
    {
        FuseServerEnd? end;
        try
        {
            ProcessProtection.ProtectCurrentThread();
            _options.EnterThread();
            end = body();
        }
        catch (Exception fault)
        {
            end = new FuseServerEnd(FuseServerEndReason.Failed, 0, fault);
        }

        close();
        if (end is not null)
        {
            Interlocked.CompareExchange(ref _firstEnd, end, null);
        }

        // A connection that ends before it was negotiated leaves the rings' threads waiting.
        _rings?.Go(use: false);
        if (end?.Reason == FuseServerEndReason.Failed)
        {
            // With fewer threads than asked for, or none, requesters could wait for ever.
            Abort();
        }

        if (Interlocked.Decrement(ref _running) == 0)
        {
            EndConnection();
            _ended.SetResult(_firstEnd!);
        }
    }

    [SuppressMessage("Design", "CA1031", Justification = "A file system's failure at its very end is recorded as the end's fault.")]
    private void EndConnection()
    {
        try
        {
            _dispatcher.End();
        }
        catch (Exception fault)
        {
            _firstEnd = _firstEnd! with { Fault = _firstEnd.Fault ?? fault };
        }
    }

    private void Abort()
    {
        try
        {
            _device.Abort();
        }
        catch (FuseMountException failure)
        {
            // Nothing stronger is left; the reason is on record.
            Interlocked.CompareExchange(ref _firstEnd, new FuseServerEnd(FuseServerEndReason.Failed, failure.Error, failure), null);
        }
    }
}
