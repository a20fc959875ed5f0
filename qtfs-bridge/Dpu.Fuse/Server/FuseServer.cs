using System.Diagnostics.CodeAnalysis;
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
    private readonly TaskCompletionSource<FuseServerEnd> _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private FuseServerEnd? _firstEnd;
    private int _running;

    private FuseServer(FuseDevice device, FuseDispatcher dispatcher, FuseServerOptions options, SafeFileHandle[] clones)
    {
        _device = device;
        _dispatcher = dispatcher;
        _options = options;
        _workers = [.. clones.Select(clone => new FuseWorker(dispatcher, clone, options.Time))];
        _running = clones.Length;
    }

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
            foreach (FuseWorker worker in _workers)
            {
                long since = worker.BusySince;
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
        for (int i = 0; i < server._workers.Length; i++)
        {
            FuseWorker worker = server._workers[i];
            new Thread(() => server.Run(worker)) { IsBackground = true, Name = $"{options.Name}-{i}" }.Start();
        }

        return server;
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
    private void Run(FuseWorker worker)
    {
        FuseServerEnd end;
        try
        {
            ProcessProtection.ProtectCurrentThread();
            _options.EnterThread();
            end = worker.Run();
        }
        catch (Exception fault)
        {
            end = new FuseServerEnd(FuseServerEndReason.Failed, 0, fault);
        }

        worker.Close();
        Interlocked.CompareExchange(ref _firstEnd, end, null);
        if (end.Reason == FuseServerEndReason.Failed)
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
