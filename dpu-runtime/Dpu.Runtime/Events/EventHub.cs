using System.Threading.Channels;
using Dpu.Proto.V1;
using Google.Protobuf.WellKnownTypes;

namespace Dpu.Runtime.Events;

/// <summary>Passes what happens to everyone who watches. A watcher that does not read loses the oldest, not the daemon its memory.</summary>
/// <param name="time">Dates the events.</param>
public sealed class EventHub(TimeProvider time)
{
    /// <summary>Events that one watcher may lag behind; an operator's terminal reads faster than this fills.</summary>
    public const int MaxBacklog = 1024;

    private readonly Lock _lock = new();
    private readonly List<Channel<Event>> _watchers = [];

    /// <summary>Tells all watchers.</summary>
    public void Publish(Event happened)
    {
        happened.Time = Timestamp.FromDateTimeOffset(time.GetUtcNow());
        lock (_lock)
        {
            foreach (Channel<Event> watcher in _watchers)
            {
                watcher.Writer.TryWrite(happened);
            }
        }
    }

    /// <summary>Begins to watch; dispose to end it.</summary>
    public Subscription Watch()
    {
        var channel = Channel.CreateBounded<Event>(new BoundedChannelOptions(MaxBacklog) { FullMode = BoundedChannelFullMode.DropOldest });
        lock (_lock)
        {
            _watchers.Add(channel);
        }

        return new Subscription(this, channel);
    }

    /// <summary>One watcher.</summary>
    public sealed class Subscription : IDisposable
    {
        private readonly EventHub _hub;
        private readonly Channel<Event> _channel;

        internal Subscription(EventHub hub, Channel<Event> channel)
        {
            _hub = hub;
            _channel = channel;
        }

        /// <summary>What happens from now on.</summary>
        public ChannelReader<Event> Events => _channel.Reader;

        /// <inheritdoc/>
        public void Dispose()
        {
            lock (_hub._lock)
            {
                _hub._watchers.Remove(_channel);
            }

            _channel.Writer.TryComplete();
        }
    }
}
