using System.Runtime.InteropServices;
using System.Security.Cryptography;

namespace Dpu.Relay.Descriptors;

/// <summary>
/// What waits on a host to be named by its token: of one session, once, for a short time. A DPU's own guesses find nothing: tokens are
/// looked up with their session. Thread-safe.
/// </summary>
/// <param name="time">The clock.</param>
public sealed class PassedTokens(TimeProvider time) : IDisposable
{
    /// <summary>What may wait for one session: a program's message has 253 at most.</summary>
    public const int MostOfSession = 1024;

    /// <summary>For how long.</summary>
    public static readonly TimeSpan Limit = TimeSpan.FromSeconds(30);

    private readonly Lock _lock = new();
    private readonly Dictionary<(string Session, string Token), Waiting> _waiting = [];
    private readonly Dictionary<string, int> _counts = new(StringComparer.Ordinal);
    private ITimer? _timer;
    private bool _ended;

    /// <summary>A token that nobody can guess.</summary>
    public static byte[] Create() => RandomNumberGenerator.GetBytes(PassedDescriptor.TokenSize);

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

    /// <summary>Has something wait; false where too much does, or the token is used already. Then it is the caller's still.</summary>
    public bool TryAdd(string session, ReadOnlySpan<byte> token, SafeHandle handle, DescriptorKind kind, DescriptorFlags flags)
    {
        lock (_lock)
        {
            int count = _counts.GetValueOrDefault(session);
            if (_ended || count >= MostOfSession || !_waiting.TryAdd((session, Convert.ToHexString(token)), new Waiting(handle, kind, flags, time.GetTimestamp())))
            {
                return false;
            }

            _counts[session] = count + 1;
            _timer ??= time.CreateTimer(_ => CloseOld(), null, Limit, Limit);
            return true;
        }
    }

    /// <summary>Gives what waits, to its new owner; false where nothing does.</summary>
    public bool TryTake(string session, ReadOnlySpan<byte> token, out SafeHandle? handle, out DescriptorKind kind, out DescriptorFlags flags)
    {
        lock (_lock)
        {
            bool there = _waiting.Remove((session, Convert.ToHexString(token)), out Waiting? found);
            if (there)
            {
                Uncount(session);
            }

            (handle, kind, flags) = (found?.Handle, found?.Kind ?? default, found?.Flags ?? default);
            return there;
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        lock (_lock)
        {
            _ended = true;
            _timer?.Dispose();
            foreach (Waiting one in _waiting.Values)
            {
                one.Handle.Dispose();
            }

            _waiting.Clear();
            _counts.Clear();
        }
    }

    private void CloseOld()
    {
        lock (_lock)
        {
            foreach ((var key, Waiting one) in _waiting.Where(one => time.GetElapsedTime(one.Value.Since) >= Limit).ToArray())
            {
                _ = _waiting.Remove(key);
                Uncount(key.Session);
                one.Handle.Dispose();
            }

            if (_waiting.Count == 0)
            {
                _timer?.Dispose();
                _timer = null;
            }
        }
    }

    private void Uncount(string session)
    {
        if (--_counts[session] == 0)
        {
            _ = _counts.Remove(session);
        }
    }

    private sealed record Waiting(SafeHandle Handle, DescriptorKind Kind, DescriptorFlags Flags, long Since);
}
