namespace Dpu.Relay.Flow;

/// <summary>
/// For how long a thread looks for what it expects before it sleeps: waking it takes longer than a short answer does. As the kernel does for virtual
/// processors (virt/kvm/kvm_main.c, halt_poll_ns): the window grows while what is expected comes a little after it, and closes when it comes much
/// later. Times are in ticks of one clock; used by one thread.
/// </summary>
internal struct PollWindow
{
    /// <summary>The first window is this part of the longest.</summary>
    private const int Parts = 4;

    /// <summary>
    /// Where others need the processor it is left to them for so many times the longest window at first. Where they need it again as soon as that is over, as what
    /// only computes does, for twice as long, and so on.
    /// </summary>
    private const int LeastPause = 20;
    private const int MostPause = 5_000;

    private long _length;
    private long _pause;
    private long _pausedUntil;

    /// <summary>How long to look now, at most; 0 to sleep at once.</summary>
    /// <param name="now">The moment.</param>
    /// <param name="most">The longest window; 0 for never.</param>
    public readonly long LengthAt(long now, long most) => now < _pausedUntil ? 0 : Math.Min(_length, most);

    /// <summary>What was expected has come.</summary>
    /// <param name="after">How long after the wait began, asleep or not.</param>
    /// <param name="most">The longest window.</param>
    public void Came(long after, long most)
    {
        if (after > most)
        {
            _length = 0;
        }
        else if (after > _length)
        {
            _length = Math.Min(most, Math.Max(most / Parts, 2 * _length));
        }
    }

    /// <summary>
    /// Between two looks another thread had the processor, for longer than the longest window: who sleeps would have been preferred to it, who looks is not.
    /// </summary>
    /// <param name="now">The moment.</param>
    /// <param name="most">The longest window.</param>
    public void Crowded(long now, long most)
    {
        bool again = _pause > 0 && now - _pausedUntil < _pause;
        _pause = again ? Math.Min(2 * _pause, MostPause * most) : LeastPause * most;
        (_length, _pausedUntil) = (0, now + _pause);
    }
}
