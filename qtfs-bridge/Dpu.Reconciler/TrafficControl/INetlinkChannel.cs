namespace Dpu.Reconciler.TrafficControl;

/// <summary>A routing netlink socket. One thread at a time.</summary>
internal interface INetlinkChannel : IDisposable
{
    /// <summary>Where it leads, for messages of errors.</summary>
    string Name { get; }

    /// <summary>Sends one or several messages.</summary>
    /// <exception cref="Targets.TargetException">They cannot be sent.</exception>
    void Send(ReadOnlySpan<byte> messages);

    /// <summary>Receives one datagram: one or several messages; how many bytes.</summary>
    /// <exception cref="Targets.TargetException">None came in time, or some were lost.</exception>
    int Receive(Span<byte> buffer);
}
