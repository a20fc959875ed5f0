using Dpu.Hosting.Configuration;
using Dpu.Runtime.Processes;
using Dpu.Runtime.Views.Calls;

namespace Dpu.Runtime.Views;

/// <summary>A view that is there. Thread-safe.</summary>
internal sealed class RuntimeView : IStubView, IDisposable
{
    private readonly Lock _lock = new();
    private readonly List<CallListener> _listeners = [];
    private bool _disposed;
    private volatile bool _ended;

    /// <param name="configuration">What it was made of.</param>
    /// <param name="paths">Where its state is.</param>
    /// <param name="init">Its first process; its own from now on.</param>
    /// <param name="since">When it was made.</param>
    public RuntimeView(ViewConfiguration configuration, ViewPaths paths, ViewInit init, DateTimeOffset since)
    {
        (Configuration, Paths, Init, Since) = (configuration, paths, init, since);
        PidNamespace = init.Namespace("pid");
        MountNamespace = init.Namespace("mnt");
        Note = StubViewNote.Of(init.Process);
    }

    public ViewConfiguration Configuration { get; }

    public ViewPaths Paths { get; }

    public ViewInit Init { get; }

    public DateTimeOffset Since { get; }

    public string PidNamespace { get; }

    public string MountNamespace { get; }

    public CallCounts Counts { get; } = new();

    /// <summary>Where its stubs connect; ends with it.</summary>
    public IDisposable? Stubs { get; set; }

    /// <summary>Adds what answers calls of a daemon of it; false where it has ended.</summary>
    public bool TryAdd(CallListener listener)
    {
        lock (_lock)
        {
            if (!_disposed)
            {
                _listeners.Add(listener);
            }

            return !_disposed;
        }
    }

    /// <summary>A daemon has ended.</summary>
    public void Remove(CallListener listener)
    {
        lock (_lock)
        {
            _ = _listeners.Remove(listener);
        }
    }

    /// <inheritdoc/>
    public bool HasEnded => _ended || Init.IsEnding;

    /// <inheritdoc/>
    public StubViewNote Note { get; }

    /// <inheritdoc/>
    public string? HostOf(string program) => Configuration.Stubs.FirstOrDefault(stub => stub.Program == program)?.Host;

    /// <summary>Its first process has ended.</summary>
    public void End()
    {
        _ended = true;
        Dispose();
    }

    /// <summary>Lets go of it here; it goes on.</summary>
    public void Dispose()
    {
        CallListener[] listeners;
        lock (_lock)
        {
            _disposed = true;
            listeners = [.. _listeners];
            _listeners.Clear();
        }

        Array.ForEach(listeners, listener => listener.Dispose());
        Stubs?.Dispose();
        Init.Dispose();
    }
}
