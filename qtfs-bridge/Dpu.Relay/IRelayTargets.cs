using System.Runtime.InteropServices;
using Dpu.Link;
using Dpu.Linux;
using Dpu.Proto.V1;

namespace Dpu.Relay;

/// <summary>What a host has that DPUs may connect to, and what connects to their own. Thread-safe.</summary>
public interface IRelayTargets
{
    /// <summary>Whether the peer may reach what it asks for; OK with a <see cref="RelayResult"/>, or a refusal that says why. Must not block.</summary>
    HelloReply Admit(LinkPeer peer, Hello hello);

    /// <summary>Connects, or waits for who connects; on a thread whose identity may be another one meanwhile.</summary>
    /// <param name="connection">The connection of an admitted hello. Nothing comes on it before it is answered but its end.</param>
    /// <param name="mayWait">False on a thread that others wait for.</param>
    /// <param name="target">The socket.</param>
    /// <returns>0, or a negated errno: EAGAIN where it would have to wait, or might, and may not. Otherwise, without a target, the connection ends when that is told.</returns>
    int Connect(LinkConnection connection, bool mayWait, out RelayTarget? target);
}

/// <summary>A connected socket.</summary>
/// <param name="Socket">It; who gets it disposes of it.</param>
/// <param name="Speaker">Whom messages are from that are sent on it.</param>
/// <param name="Join">Is given what breaks the relay off, once it runs; false where that is to be done at once.</param>
/// <param name="Leave">Is given the same again when the relay has ended.</param>
public sealed record RelayTarget(SafeHandle Socket, ucred Speaker, Func<IDisposable, bool> Join, Action<IDisposable> Leave)
{
    /// <summary>Who has connected to it, for whom the DPU is told; null where the DPU connects.</summary>
    public (uint Uid, uint Gid)? Visitor { get; init; }

    /// <summary>Carries the descriptors that programs pass on it; null where none cross.</summary>
    public Descriptors.IDescriptorPassing? Passing { get; init; }

    /// <summary>What it is, where it is no socket.</summary>
    public LocalEnd End { get; init; }

    /// <summary>Its type, where the DPU does not say it.</summary>
    public SocketKind Kind { get; init; }
}
