namespace Grpc.Core;

/// <summary>What generated clients derive from.</summary>
public abstract class ClientBase<T> : ClientBase
    where T : ClientBase<T>
{
    /// <summary>For test doubles, which override the calls.</summary>
    protected ClientBase()
    {
    }

    /// <summary>Over a channel.</summary>
    protected ClientBase(ChannelBase channel)
        : base(channel)
    {
    }

    /// <summary>Over an invoker.</summary>
    protected ClientBase(CallInvoker callInvoker)
        : base(callInvoker)
    {
    }

    /// <summary>From the configuration of another one.</summary>
    protected ClientBase(ClientBaseConfiguration configuration)
        : base(configuration)
    {
    }

    /// <summary>The same client, whose calls name another authority.</summary>
    public T WithHost(string host) => NewInstance(Configuration.WithHost(host));

    /// <summary>Makes a client of this kind.</summary>
    protected abstract T NewInstance(ClientBaseConfiguration configuration);
}

/// <summary>A client and the invoker it calls through.</summary>
public abstract class ClientBase
{
    private readonly ClientBaseConfiguration? configuration;

    /// <summary>For test doubles, which override the calls.</summary>
    protected ClientBase()
    {
    }

    /// <summary>Over a channel.</summary>
    protected ClientBase(ChannelBase channel)
    {
        ArgumentNullException.ThrowIfNull(channel);
        configuration = new ClientBaseConfiguration(channel.CreateCallInvoker(), null);
    }

    /// <summary>Over an invoker.</summary>
    protected ClientBase(CallInvoker callInvoker)
    {
        ArgumentNullException.ThrowIfNull(callInvoker);
        configuration = new ClientBaseConfiguration(callInvoker, null);
    }

    /// <summary>From the configuration of another one.</summary>
    protected ClientBase(ClientBaseConfiguration configuration)
    {
        ArgumentNullException.ThrowIfNull(configuration);
        this.configuration = configuration;
    }

    /// <summary>What the calls go through.</summary>
    protected CallInvoker CallInvoker => Configuration.CreateDecoratedCallInvoker();

    /// <summary>What the client was made from.</summary>
    protected internal ClientBaseConfiguration Configuration => configuration
        ?? throw new InvalidOperationException("This client was made by its parameterless constructor, which is for test doubles: it has no channel.");

    /// <summary>An invoker and an authority that overrides the channel's.</summary>
    protected internal class ClientBaseConfiguration
    {
        private readonly CallInvoker callInvoker;

        internal ClientBaseConfiguration(CallInvoker undecorated, string? host)
        {
            Undecorated = undecorated;
            callInvoker = host is null ? undecorated : new HostCallInvoker(undecorated, host);
        }

        private CallInvoker Undecorated { get; }

        internal CallInvoker CreateDecoratedCallInvoker() => callInvoker;

        internal ClientBaseConfiguration WithHost(string host)
        {
            ArgumentNullException.ThrowIfNull(host);
            return new ClientBaseConfiguration(Undecorated, host);
        }
    }
}
