namespace Dpu.Rpc.Server;

/// <summary>One read or write of a stream: refuses a second at the same time, and joins its token with the call's.</summary>
internal readonly struct CallStep : IDisposable
{
    private readonly CancellationTokenSource? linked;

    private CallStep(CancellationToken token, CancellationTokenSource? linked)
    {
        Token = token;
        this.linked = linked;
    }

    public CancellationToken Token { get; }

    /// <exception cref="InvalidOperationException">The last one has not ended.</exception>
    public static CallStep Enter(ref int busy, CancellationToken callToken, CancellationToken stepToken, string what)
    {
        if (Interlocked.Exchange(ref busy, 1) != 0)
        {
            throw new InvalidOperationException($"The last {what} of this stream has not ended: await each one.");
        }

        if (!stepToken.CanBeCanceled)
        {
            return new CallStep(callToken, null);
        }

        var linked = CancellationTokenSource.CreateLinkedTokenSource(callToken, stepToken);
        return new CallStep(linked.Token, linked);
    }

    public void Dispose() => linked?.Dispose();
}
