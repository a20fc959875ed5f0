namespace Grpc.Core;

/// <summary>What a caller asks of one call. Immutable: the With… methods give a changed copy.</summary>
public readonly struct CallOptions
{
    /// <summary>Makes options.</summary>
    /// <param name="headers">Metadata to send; null for none.</param>
    /// <param name="deadline">When the call ends with DEADLINE_EXCEEDED at the latest, in UTC; null or <see cref="DateTime.MaxValue"/> for never.</param>
    /// <param name="cancellationToken">Ends the call with CANCELLED.</param>
    /// <param name="writeOptions">How messages are written where the write says nothing else.</param>
    public CallOptions(Metadata? headers = null, DateTime? deadline = null, CancellationToken cancellationToken = default, WriteOptions? writeOptions = null)
    {
        Headers = headers;
        Deadline = deadline;
        CancellationToken = cancellationToken;
        WriteOptions = writeOptions;
    }

    /// <summary>Metadata to send.</summary>
    public Metadata? Headers { get; init; }

    /// <summary>The latest end, in UTC.</summary>
    public DateTime? Deadline { get; init; }

    /// <summary>Ends the call with CANCELLED.</summary>
    public CancellationToken CancellationToken { get; init; }

    /// <summary>How messages are written.</summary>
    public WriteOptions? WriteOptions { get; init; }

    /// <summary>A copy with these headers.</summary>
    public CallOptions WithHeaders(Metadata headers) => this with { Headers = headers };

    /// <summary>A copy with this deadline, in UTC.</summary>
    public CallOptions WithDeadline(DateTime deadline) => this with { Deadline = deadline };

    /// <summary>A copy with this token.</summary>
    public CallOptions WithCancellationToken(CancellationToken cancellationToken) => this with { CancellationToken = cancellationToken };

    /// <summary>A copy with these write options.</summary>
    public CallOptions WithWriteOptions(WriteOptions writeOptions) => this with { WriteOptions = writeOptions };
}
