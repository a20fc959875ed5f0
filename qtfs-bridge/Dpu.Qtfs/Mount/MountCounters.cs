namespace Dpu.Qtfs.Mount;

/// <summary>What a mount has done since it was made. Written by many threads without a lock, read at any time.</summary>
public sealed class MountCounters
{
    private long _requests;
    private long _errors;
    private long _bytesSent;
    private long _bytesReceived;
    private long _unknownOutcome;
    private long _repeated;
    private long _interrupted;

    /// <summary>Requests of the kernel, whatever became of them.</summary>
    public long Requests => Interlocked.Read(ref _requests);

    /// <summary>Requests answered with an error, ENOENT and the like included.</summary>
    public long Errors => Interlocked.Read(ref _errors);

    /// <summary>Bytes of FUSE messages sent to the host.</summary>
    public long BytesSent => Interlocked.Read(ref _bytesSent);

    /// <summary>Bytes of FUSE messages received from the host.</summary>
    public long BytesReceived => Interlocked.Read(ref _bytesReceived);

    /// <summary>Requests ended with EIO because the link broke after they were sent and repeating them was not safe.</summary>
    public long UnknownOutcome => Interlocked.Read(ref _unknownOutcome);

    /// <summary>Requests sent again after the link broke.</summary>
    public long Repeated => Interlocked.Read(ref _repeated);

    /// <summary>Requests ended with EINTR before the host answered.</summary>
    public long Interrupted => Interlocked.Read(ref _interrupted);

    internal void Count(int sent, int received, bool error)
    {
        Interlocked.Increment(ref _requests);
        Interlocked.Add(ref _bytesSent, sent);
        Interlocked.Add(ref _bytesReceived, received);
        if (error)
        {
            Interlocked.Increment(ref _errors);
        }
    }

    internal void CountUnknownOutcome() => Interlocked.Increment(ref _unknownOutcome);

    internal void CountRepeated() => Interlocked.Increment(ref _repeated);

    internal void CountInterrupted() => Interlocked.Increment(ref _interrupted);
}
