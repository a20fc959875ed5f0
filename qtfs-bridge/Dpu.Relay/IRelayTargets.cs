using System.Runtime.InteropServices;
using Dpu.Link;
using Dpu.Linux;
using Dpu.Proto.V1;

namespace Dpu.Relay;

/// <summary>What a host has that DPUs may connect to. Thread-safe.</summary>
public interface IRelayTargets
{
    /// <summary>Whether the peer may reach what it asks for; OK with a <see cref="RelayResult"/>, or a refusal that says why. Must not block.</summary>
    HelloReply Admit(LinkPeer peer, Hello hello);

    /// <summary>Connects; on a thread of the connection's own, which may wait and may change its identity.</summary>
    /// <returns>0, or a negated errno.</returns>
    int Connect(LinkPeer peer, Hello hello, out RelayTarget? target);
}

/// <summary>A connected socket.</summary>
/// <param name="Socket">It; who gets it disposes of it.</param>
/// <param name="Speaker">Whom messages are from that are sent on it.</param>
/// <param name="Join">Is given what breaks the relay off, once it runs; false where that is to be done at once.</param>
/// <param name="Leave">Is given the same again when the relay has ended.</param>
public sealed record RelayTarget(SafeHandle Socket, ucred Speaker, Func<IDisposable, bool> Join, Action<IDisposable> Leave);
