namespace Dpu.Relay.Flow;

/// <summary>Something with descriptors that a <see cref="RelayLoop"/> waits for. All calls are the loop's thread's.</summary>
internal unsafe interface ILoopSource
{
    /// <summary>It belongs to the loop from now on: registers its descriptors under <paramref name="slot"/>.</summary>
    void Enter(RelayLoop loop, uint slot);

    /// <summary>Something has come.</summary>
    /// <param name="events">Of epoll(7).</param>
    /// <param name="side">Which of its descriptors.</param>
    void Ready(uint events, uint side);

    /// <summary>Does some of what can be done; true where more can be at once.</summary>
    /// <param name="scratch"><see cref="RelayLoop.ScratchSize"/> bytes, for the time of the call.</param>
    bool Work(byte* scratch);

    /// <summary>Some time has passed since <see cref="RelayLoop.TickLater"/>; work follows.</summary>
    void Tick()
    {
        // Most wait for nothing but their descriptors.
    }

    /// <summary>Ends it; the loop knows it no more.</summary>
    void Leave();
}
