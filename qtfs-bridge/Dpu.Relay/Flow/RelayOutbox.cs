namespace Dpu.Relay.Flow;

/// <summary>
/// Frames on their way to the other end: what the link has not taken yet, and, where the relay outlives its link, what the other end has
/// not said to have. Holds memory only while it has some. Not thread-safe.
/// </summary>
/// <param name="lasting">Whether what was sent is kept until it is acknowledged.</param>
internal struct RelayOutbox(bool lasting)
{
    private RelayBuffer _kept;
    private int _sent;
    private ulong _added;
    private ulong _arrived;
    private ulong _used;

    /// <summary>Bytes that the link has not taken.</summary>
    public readonly int Unsent => _kept.Length - _sent;

    /// <summary>Bytes that the other end may not have.</summary>
    public readonly int Kept => _kept.Length;

    /// <summary>Whether the other end has said to have used all.</summary>
    public readonly bool IsSettled => _used == _added;

    /// <summary>What is to be sent next.</summary>
    public readonly ReadOnlySpan<byte> Next => _kept.Bytes[_sent..];

    /// <summary>Adds frames of which the link has taken the first bytes already; only where nothing else is unsent.</summary>
    public void Add(ReadOnlySpan<byte> frames, int sent)
    {
        if (lasting)
        {
            _kept.Add(frames);
            _sent += sent;
            _added += (uint)frames.Length;
        }
        else if (sent < frames.Length)
        {
            _kept.Add(frames[sent..]);
        }
    }

    /// <summary>The link has taken so many more.</summary>
    public void Sent(int count)
    {
        if (lasting)
        {
            _sent += count;
        }
        else
        {
            _kept.Gone(count);
        }
    }

    /// <summary>The other end has used so many bytes since the relay began; false where it cannot have.</summary>
    public bool TryAcknowledge(ulong total)
    {
        // What has come is used later: after a resumption fewer may be told than then.
        if (!lasting || ((long)(total - _arrived) > 0 && !TryDrop(total)))
        {
            return false;
        }

        _used = total;
        return true;
    }

    /// <summary>So many bytes have arrived; what follows is to be sent again, on another connection. False where that is no longer here, or never was.</summary>
    public bool TryRewind(ulong total)
    {
        if (!lasting || !TryDrop(total))
        {
            return false;
        }

        _sent = 0;
        return true;
    }

    private bool TryDrop(ulong total)
    {
        long more = (long)(total - _arrived);
        if (more < 0 || more > _sent)
        {
            return false;
        }

        _arrived = total;
        _sent -= (int)more;
        _kept.Gone((int)more);
        return true;
    }

    /// <summary>Drops all.</summary>
    public void Free()
    {
        _kept.Free();
        _sent = 0;
    }
}
