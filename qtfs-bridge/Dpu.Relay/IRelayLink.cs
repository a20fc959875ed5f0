using Dpu.Linux;

namespace Dpu.Relay;

/// <summary>The way to the other end. Disposing it sends what was written, and ends it. The loop's thread's.</summary>
internal unsafe interface IRelayLink : IDisposable
{
    /// <summary>A stream socket, for epoll(7).</summary>
    int Descriptor { get; }

    /// <summary>Whether it has taken bytes that its socket has not: <see cref="TryFlush"/> when that has room.</summary>
    bool IsFull => false;

    /// <summary>epoll(7) says that there is something to read.</summary>
    void Tell()
    {
        // A socket is asked all the same.
    }

    /// <summary>As recv(2) without waiting: bytes, 0 at the end, or a negated errno.</summary>
    int Receive(byte* into, int size) => (int)LibC.Result(sys_socket.recv(Descriptor, into, (nuint)size, msg_flags.MSG_DONTWAIT));

    /// <summary>As send(2) without waiting: how many bytes it has taken, or a negated errno.</summary>
    int Send(byte* bytes, int size) => (int)LibC.Result(sys_socket.send(Descriptor, bytes, (nuint)size, msg_flags.MSG_NOSIGNAL | msg_flags.MSG_DONTWAIT));

    /// <summary>Gives the socket what it takes; whether nothing is left.</summary>
    bool TryFlush() => true;
}
