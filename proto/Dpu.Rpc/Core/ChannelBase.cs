namespace Grpc.Core;

/// <summary>A way to one server, over which calls are made. Thread-safe.</summary>
public abstract class ChannelBase
{
    /// <summary>Made by the channel itself.</summary>
    /// <param name="target">The authority: <c>host:port</c>.</param>
    protected ChannelBase(string target)
    {
        ArgumentNullException.ThrowIfNull(target);
        Target = target;
    }

    /// <summary>The authority that calls go to.</summary>
    public string Target { get; }

    /// <summary>An invoker over this channel.</summary>
    public abstract CallInvoker CreateCallInvoker();

    /// <summary>Ends the calls under way with CANCELLED and lets no other begin.</summary>
    public Task ShutdownAsync() => ShutdownAsyncCore();

    /// <summary>What <see cref="ShutdownAsync"/> does.</summary>
    protected virtual Task ShutdownAsyncCore() => Task.CompletedTask;
}
