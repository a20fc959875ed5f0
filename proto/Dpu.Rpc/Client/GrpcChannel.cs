using Dpu.Rpc.Wire;
using Grpc.Core;

namespace Grpc.Net.Client;

/// <summary>A way to one server over HTTP/2. Cheap calls, dear to make: keep one for as long as the server is of interest. Thread-safe.</summary>
public sealed class GrpcChannel : ChannelBase, IDisposable
{
    private readonly bool disposeHandler;
    private readonly HttpMessageHandler handler;
    private readonly Lock gate = new();
    private readonly HashSet<IDisposable> activeCalls = [];
    private bool disposed;

    private GrpcChannel(Uri address, GrpcChannelOptions options)
        : base(address.Authority)
    {
        Address = address;
        handler = options.HttpHandler ?? GrpcHttpHandler.Create();
        disposeHandler = options.HttpHandler is null || options.DisposeHttpClient;

        // An HttpMessageInvoker, not an HttpClient: that one has a time limit of its own and buffers.
        HttpInvoker = new HttpMessageInvoker(handler, disposeHandler: false);
        MaxReceiveMessageSize = options.MaxReceiveMessageSize ?? int.MaxValue;
        MaxSendMessageSize = options.MaxSendMessageSize ?? int.MaxValue;
        ThrowOperationCanceled = options.ThrowOperationCanceledOnCancellation;
        TimeProvider = options.TimeProvider;
    }

    internal Uri Address { get; }

    internal HttpMessageInvoker HttpInvoker { get; }

    internal int MaxReceiveMessageSize { get; }

    internal int MaxSendMessageSize { get; }

    internal bool ThrowOperationCanceled { get; }

    internal TimeProvider TimeProvider { get; }

    /// <summary>How many calls are under way.</summary>
    internal int ActiveCalls
    {
        get
        {
            lock (gate)
            {
                return activeCalls.Count;
            }
        }
    }

    /// <summary>Makes a channel; nothing is connected before the first call.</summary>
    /// <param name="address"><c>http://host:port</c> (HTTP/2 without TLS) or <c>https://host:port</c>.</param>
    public static GrpcChannel ForAddress(string address) => ForAddress(address, new GrpcChannelOptions());

    /// <summary>Makes a channel with options.</summary>
    public static GrpcChannel ForAddress(string address, GrpcChannelOptions channelOptions) =>
        ForAddress(new Uri(address, UriKind.Absolute), channelOptions);

    /// <summary>Makes a channel.</summary>
    public static GrpcChannel ForAddress(Uri address) => ForAddress(address, new GrpcChannelOptions());

    /// <summary>Makes a channel with options.</summary>
    /// <exception cref="ArgumentException">The address has another scheme than http and https, or a path.</exception>
    public static GrpcChannel ForAddress(Uri address, GrpcChannelOptions channelOptions)
    {
        ArgumentNullException.ThrowIfNull(address);
        ArgumentNullException.ThrowIfNull(channelOptions);
        if (!address.IsAbsoluteUri || (address.Scheme != Uri.UriSchemeHttp && address.Scheme != Uri.UriSchemeHttps))
        {
            throw new ArgumentException(
                $"The address '{address}' is neither http:// nor https://; for a unix socket pass a handler of UnixSocketHandler and http://localhost.",
                nameof(address));
        }

        if (address.PathAndQuery is not ("/" or ""))
        {
            throw new ArgumentException($"The address '{address}' has a path; a gRPC server's methods are at its root.", nameof(address));
        }

        return new GrpcChannel(address, channelOptions);
    }

    /// <inheritdoc/>
    public override CallInvoker CreateCallInvoker()
    {
        ObjectDisposedException.ThrowIf(disposed, this);
        return new HttpCallInvoker(this);
    }

    /// <summary>Ends the calls under way with CANCELLED.</summary>
    public void Dispose()
    {
        IDisposable[] calls;
        lock (gate)
        {
            if (disposed)
            {
                return;
            }

            disposed = true;
            calls = [.. activeCalls];
            activeCalls.Clear();
        }

        foreach (IDisposable call in calls)
        {
            call.Dispose();
        }

        HttpInvoker.Dispose();
        if (disposeHandler)
        {
            handler.Dispose();
        }
    }

    /// <inheritdoc/>
    protected override Task ShutdownAsyncCore()
    {
        Dispose();
        return Task.CompletedTask;
    }

    /// <summary>Adds a call that begins.</summary>
    /// <exception cref="ObjectDisposedException">The channel is disposed.</exception>
    internal void Enter(IDisposable call)
    {
        lock (gate)
        {
            ObjectDisposedException.ThrowIf(disposed, this);
            activeCalls.Add(call);
        }
    }

    /// <summary>Removes a call that has ended.</summary>
    internal void Leave(IDisposable call)
    {
        lock (gate)
        {
            activeCalls.Remove(call);
        }
    }
}
