using Dpu.Proto.V1;

namespace Dpu.Link;

/// <summary>What a listener offers under a name. Methods are called on the connections' own threads, several at once.</summary>
public interface ILinkService
{
    /// <summary>The name that a hello asks for, e.g. <c>fs</c>.</summary>
    string Name { get; }

    /// <summary>
    /// Decides on one hello of a proven peer. Fills in status, message and result; version, features and the rest are the
    /// listener's. After OK exactly one of <see cref="Serve"/> and <see cref="Abandon"/> follows. Must not block for long.
    /// </summary>
    HelloReply Admit(LinkPeer peer, Hello hello);

    /// <summary>
    /// Serves the connection on its own thread until it ends. The listener disposes it afterwards and aborts it when
    /// <paramref name="stopping"/> is cancelled. An <see cref="IOException"/> out of it is a connection's ordinary end.
    /// </summary>
    void Serve(LinkConnection connection, CancellationToken stopping);

    /// <summary>Takes back what <see cref="Admit"/> reserved: the reply did not reach the peer.</summary>
    void Abandon(LinkPeer peer, Hello hello)
    {
        // A service whose Admit reserves nothing has nothing to take back.
    }
}
