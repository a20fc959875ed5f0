using System.Collections.Concurrent;
using Dpu.Hosting.Configuration;
using Dpu.Keeper;
using Dpu.Linux;
using Dpu.Proto.V1;
using Dpu.Qtfs.Mount;
using Dpu.Runtime.Hosts;
using Dpu.Runtime.Mounts;
using Dpu.Runtime.Processes;
using Dpu.Runtime.Views.Calls;
using Grpc.Core;
using Microsoft.Win32.SafeHandles;

namespace Dpu.Runtime.Views;

/// <summary>The views of this DPU. They outlive the runtime: their first processes are dpu-keeper's. Thread-safe.</summary>
public sealed partial class ViewTable : IDisposable
{
    private const int Most = 256;
    private static readonly TimeSpan EndLimit = TimeSpan.FromSeconds(15);

    private readonly Keeping _keeping;
    private readonly MountManager _mounts;
    private readonly ProcessTable _processes;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly ConcurrentDictionary<string, RuntimeView> _views = new(StringComparer.Ordinal);
    private readonly ConcurrentDictionary<string, Lock> _gates = new(StringComparer.Ordinal);
    private readonly MountCalls _mountCalls;
    private readonly CallHandler _handler;
    private readonly ManualResetEventSlim _stopping = new();
    private string _folder = ViewConfiguration.DefaultFolder;
    private string _configurationFile = "";
    private RuntimeConfiguration? _configuration;
    private ViewSocket? _socket;

    /// <summary>An empty one, before <see cref="Restore"/>.</summary>
    public ViewTable(Keeping keeping, MountManager mounts, ProcessTable processes, HostLinks hosts, TimeProvider time, ILogger<ViewTable> logger)
    {
        (_keeping, _mounts, _processes, _time, _logger) = (keeping, mounts, processes, time, logger);
        _mountCalls = new MountCalls(mounts, hosts, time, logger);
        _handler = new CallHandler(processes, _mountCalls, time, logger);
        _keeping.ProcessChanged += OnProcessChanged;
    }

    /// <summary>Where dpu-run connects; null for nowhere.</summary>
    public string? Socket => _configuration?.ViewSocket;

    /// <summary>Calls for mounts that ended with EIO, for nobody can say whether a host has carried them out.</summary>
    public long UnknownMounts => _mountCalls.UnknownOutcomes;

    internal ILogger Logger => _logger;

    internal IEnumerable<RuntimeView> Live => _views.Values;

    private string Root => Path.Combine(Path.GetDirectoryName(Socket!)!, "views");

    /// <summary>Takes a configuration: at start, before <see cref="Restore"/>, and at each reload.</summary>
    /// <param name="configuration">It.</param>
    /// <param name="file">Where it is, which no view may see.</param>
    public void Configure(RuntimeConfiguration configuration, string file)
    {
        ArgumentNullException.ThrowIfNull(configuration);
        bool moved = _configuration is not null && _configuration.ViewSocket != configuration.ViewSocket;
        (_folder, _configurationFile) = (configuration.ViewsFolder, file);
        if (moved)
        {
            // Their state is beside it.
            Log.SocketStays(_logger, Socket ?? "none");
            configuration = configuration with { ViewSocket = Socket };
        }

        _configuration = configuration;
    }

    /// <summary>Takes up the views of an earlier runtime, and lets dpu-run connect; with the mounts there.</summary>
    public void Restore()
    {
        if (Socket is not { } socket)
        {
            return;
        }

        foreach (string folder in Directory.Exists(Root) ? Directory.GetDirectories(Root) : [])
        {
            Restore(new ViewPaths(Root, Path.GetFileName(folder)));
        }

        _socket = ViewSocket.TryMake(socket, this, _stopping, out string reason);
        if (_socket is null)
        {
            Log.NoViewSocket(_logger, socket, reason);
        }
    }

    /// <summary>All that are there, and all that files describe, by name.</summary>
    public IReadOnlyList<View> All
    {
        get
        {
            string[] described = Directory.Exists(_folder) ? [.. Directory.GetFiles(_folder, "*" + ViewConfiguration.Suffix).Select(file => Path.GetFileName(file)[..^ViewConfiguration.Suffix.Length])] : [];
            return [.. described.Union(_views.Keys).Order(StringComparer.Ordinal).Select(Describe)];
        }
    }

    /// <summary>One; null where there is neither a view nor a file.</summary>
    public View? Find(string name) => ViewConfiguration.NameProblem(name) is null && (_views.ContainsKey(name) || File.Exists(FileOf(name))) ? Describe(name) : null;

    /// <summary>Makes a view as its file describes it, where it is not there.</summary>
    /// <exception cref="ViewException">It cannot be made.</exception>
    public View Create(string name)
    {
        _ = Join(name);
        return Describe(name);
    }

    /// <summary>Ends a view.</summary>
    /// <param name="name">Which.</param>
    /// <param name="force">Also where processes run in it.</param>
    /// <exception cref="ViewException">There is none, or processes run in it.</exception>
    public void Delete(string name, bool force)
    {
        lock (GateOf(name))
        {
            if (!_views.TryGetValue(name, out RuntimeView? view))
            {
                throw new ViewException(StatusCode.NotFound, $"no view '{name}' is there; 'dpuctl view list' lists them");
            }

            IReadOnlyList<int> others = view.Init.Others();
            if (others.Count > 0 && !force)
            {
                throw new ViewException(
                    StatusCode.FailedPrecondition,
                    $"{others.Count} processes run in view '{name}': {string.Join(", ", others.Take(5).Select(CommandOf))}{(others.Count > 5 ? ", …" : "")}. Stop its daemon first, or say --force, which kills them");
            }

            // What they stand for goes on: it is not their own end that ends them.
            _processes.Detach(stub => ViewInit.NamespaceOf(stub, "pid") == view.PidNamespace);
            if (!view.Init.Kill(EndLimit))
            {
                throw new ViewException(StatusCode.DeadlineExceeded, $"view '{name}' is being ended, but a process in it does not end: does it wait for a host that is away? 'dpuctl mounts' shows");
            }

            End(view);
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _stopping.Set();
        _keeping.ProcessChanged -= OnProcessChanged;
        _socket?.Dispose();
        foreach (RuntimeView view in _views.Values)
        {
            view.Dispose();
        }

        _handler.Dispose();
    }

    /// <summary>The view of a name, made where it is not there.</summary>
    internal RuntimeView Join(string name)
    {
        if (ViewConfiguration.NameProblem(name) is { } problem)
        {
            throw new ViewException(StatusCode.InvalidArgument, $"{Link.Printable.Clean(problem, 200)}; allowed are {ViewConfiguration.NameAllowed}");
        }

        if (Socket is null)
        {
            throw new ViewException(StatusCode.FailedPrecondition, "views need a place: \"viewSocket\" is \"none\" in the runtime's configuration");
        }

        lock (GateOf(name))
        {
            if (_views.TryGetValue(name, out RuntimeView? view))
            {
                if (view.Init.IsAlive)
                {
                    return view;
                }

                End(view);
            }

            return Make(name);
        }
    }

    /// <summary>Answers the calls that a filter holds, from now on.</summary>
    internal bool Listen(RuntimeView view, SafeFileHandle listener)
    {
        CallListener? made = CallListener.TryMake(_keeping, view, listener, _handler, _logger);
        return made is not null && Begin(view, made);
    }

    private bool Begin(RuntimeView view, CallListener listener)
    {
        if (!view.TryAdd(listener))
        {
            listener.Dispose();
            return false;
        }

        listener.Begin();
        return true;
    }

    private RuntimeView Make(string name)
    {
        string file = FileOf(name);
        if (!File.Exists(file))
        {
            throw new ViewException(StatusCode.NotFound, $"no view '{name}' is described: there is no '{file}'; 'dpuctl view list' lists them");
        }

        ConfigurationResult<ViewConfiguration> read = ViewConfiguration.Load(file);
        if (!read.Succeeded)
        {
            throw new ViewException(StatusCode.FailedPrecondition, $"view '{name}' cannot be made: {string.Join("; ", read.Errors)}");
        }

        if (_views.Count >= Most)
        {
            throw new ViewException(StatusCode.ResourceExhausted, $"there are {Most} views, which is the most; 'dpuctl view delete' ends one");
        }

        ViewConfiguration configuration = read.Configuration;
        var paths = new ViewPaths(Root, name);
        bool isMade = false;
        try
        {
            Prepare(paths, file);
            IReadOnlyList<string> arguments = ViewPlan.Arguments(configuration, paths, _mounts.All, Secret, NativeProgram.PathOf("dpu-stub"));
            ViewLauncher.Run(_keeping, EntryOf(name), arguments, () => MountProcesses(configuration, paths));
            ViewInit init = ViewInit.Find(paths.Init) ?? throw new ViewException(StatusCode.Internal, $"view '{name}' ended as soon as it was made; see dpu-keeper's log. Do the keeper and the runtime see the same processes?");
            RuntimeView view = Add(configuration, paths, init, _time.GetUtcNow());
            Log.ViewMade(_logger, name, init.Process, file);
            isMade = true;
            return view;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or MountException)
        {
            throw new ViewException(e is MountException mount ? mount.Code : StatusCode.FailedPrecondition, $"view '{name}' cannot be made: {e.Message}", e);
        }
        finally
        {
            if (!isMade)
            {
                Clean(paths);
            }
        }
    }

    private RuntimeView Add(ViewConfiguration configuration, ViewPaths paths, ViewInit init, DateTimeOffset since)
    {
        var view = new RuntimeView(configuration, paths, init, since);
        view.Stubs = _processes.ListenAlso(paths.StubSocket, view, out string reason);
        if (view.Stubs is null)
        {
            Log.NoStubs(_logger, configuration.Name, reason);
        }

        _views[configuration.Name] = view;
        return view;
    }

    private void Restore(ViewPaths paths)
    {
        if (ViewInit.Find(paths.Init) is not { } init)
        {
            Clean(paths);
            return;
        }

        ConfigurationResult<ViewConfiguration> made = ViewConfiguration.Load(paths.Made);
        ViewConfiguration configuration = (made.Configuration ?? new ViewConfiguration(paths.Name, "", "", "", false, 0, 0, ViewCalls.None, [], [])) with { Name = paths.Name, File = FileOf(paths.Name) };
        RuntimeView view = Add(configuration, paths, init, File.GetLastWriteTimeUtc(paths.Made));
        int listeners = CallListener.Restore(_keeping, view, _handler, _logger).Count(listener => Begin(view, listener));
        Log.ViewRestored(_logger, paths.Name, init.Process, listeners);
    }

    private Lock GateOf(string name) => _gates.GetOrAdd(name, _ => new Lock());

    private string FileOf(string name) => Path.Combine(_folder, name + ViewConfiguration.Suffix);

    private static string EntryOf(string name) => $"view/{name}/init";

    // Its outer process has ended, as the inner one has.
    private void OnProcessChanged(string entry, KeptProcess state)
    {
        if (state.Ended && entry.Split('/') is ["view", var name, "init"])
        {
            _ = Task.Factory.StartNew(() => Ended(name), CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
        }
    }

    private void Ended(string name)
    {
        lock (GateOf(name))
        {
            if (_views.TryGetValue(name, out RuntimeView? view) && !view.Init.IsAlive)
            {
                End(view);
            }
        }
    }

    private static string CommandOf(int process)
    {
        try
        {
            return $"{process} ({File.ReadAllText($"/proc/{process}/comm").TrimEnd('\n')})";
        }
        catch (IOException)
        {
            // Expected: it has just ended.
            return $"{process}";
        }
    }
}
