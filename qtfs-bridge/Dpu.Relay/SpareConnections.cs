using Dpu.Link;
using Dpu.Linux;

namespace Dpu.Relay;

/// <summary>
/// The DPU's connections of one link that relays have left, for the next ones: to connect, to prove who both ends are and to have a thread made at the
/// host takes longer than all the rest of a short connection. As many stay as were in use at a time lately. Thread-safe.
/// </summary>
public sealed class SpareConnections : IDisposable
{
    /// <summary>How many stay at most: what comes at once beyond that waits for handshakes, as it would without any.</summary>
    public const int Most = 64;

    /// <summary>How long one stays that nobody needs; the host waits for longer (<see cref="RelayService.SpareLimit"/>).</summary>
    public static readonly TimeSpan IdleLimit = TimeSpan.FromSeconds(30);

    private readonly Lock _lock = new();

    // The last one that was left is the first one that is taken, so that what is not needed ages.
    private readonly List<(SpareConnection Spare, long Since)> _waiting = [];
    private readonly TimeProvider _time;
    private ITimer? _timer;
    private bool _disposed;

    /// <summary>None at first.</summary>
    /// <param name="time">The clock.</param>
    public SpareConnections(TimeProvider time) => _time = time;

    /// <summary>How many wait.</summary>
    public int Count
    {
        get
        {
            lock (_lock)
            {
                return _waiting.Count;
            }
        }
    }

    /// <summary>One that works as far as can be seen, the caller's; null where there is none.</summary>
    /// <param name="isCurrent">Whether it is as good as one dialled now; see <see cref="LinkDialer.IsCurrent"/>.</param>
    public LinkConnection? Take(Func<LinkConnection, bool> isCurrent)
    {
        ArgumentNullException.ThrowIfNull(isCurrent);
        while (true)
        {
            SpareConnection spare;
            lock (_lock)
            {
                if (_waiting.Count == 0)
                {
                    return null;
                }

                spare = _waiting[^1].Spare;
                _waiting.RemoveAt(_waiting.Count - 1);
            }

            if (IsQuiet(spare.Connection) && isCurrent(spare.Connection))
            {
                return spare.Connection;
            }

            spare.Dispose();
        }
    }

    /// <summary>A relay has left it. Does not block.</summary>
    public void Put(SpareConnection spare)
    {
        ArgumentNullException.ThrowIfNull(spare);
        lock (_lock)
        {
            // A host that says something now does not keep to the protocol.
            if (!_disposed && _waiting.Count < Most && spare.Behind.Length == 0 && spare.Connection.Age < LinkDialer.ProofLimit)
            {
                _waiting.Add((spare, _time.GetTimestamp()));
                _timer ??= _time.CreateTimer(_ => Prune(), null, IdleLimit / 2, IdleLimit / 2);
                return;
            }
        }

        spare.Dispose();
    }

    /// <summary>Closes all that wait.</summary>
    public void Clear() => Close(_ => true);

    /// <inheritdoc/>
    public void Dispose()
    {
        lock (_lock)
        {
            _disposed = true;
        }

        Clear();
    }

    private void Prune() => Close(one => _time.GetElapsedTime(one.Since) >= IdleLimit || !IsQuiet(one.Spare.Connection));

    private void Close(Predicate<(SpareConnection Spare, long Since)> which)
    {
        (SpareConnection Spare, long Since)[] closed;
        lock (_lock)
        {
            closed = [.. _waiting.Where(one => which(one))];
            _ = _waiting.RemoveAll(closed.Contains);
            if (_waiting.Count == 0)
            {
                _timer?.Dispose();
                _timer = null;
            }
        }

        Array.ForEach(closed, one => one.Spare.Dispose());
    }

    // Nothing is to come before something is asked, an end among it.
    private static bool IsQuiet(LinkConnection connection) =>
        !connection.Socket.SafeHandle.IsClosed && poll.Now(connection.Socket.SafeHandle, poll.POLLIN | poll.POLLRDHUP) == 0;
}
