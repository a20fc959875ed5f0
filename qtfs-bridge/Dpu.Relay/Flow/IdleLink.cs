using Dpu.Linux;
using Dpu.Relay.Wire;

namespace Dpu.Relay.Flow;

/// <summary>A connection of the link between two relays, at the end that is asked: until the next one is named, or the other end closes it.</summary>
/// <param name="link">The link; this one's until it is <paramref name="asked"/>.</param>
/// <param name="first">What has come on it already.</param>
/// <param name="asked">Given what is asked for, on the loop's thread; the link is the callee's from then on.</param>
/// <param name="left">Called once when it waits no more, before <paramref name="asked"/>.</param>
/// <param name="violated">Told why the other end is cut off.</param>
internal sealed unsafe class IdleLink(IRelayLink link, byte[] first, Action<byte[]> asked, Action<IdleLink> left, Action<string> violated) : ILoopSource
{
    private const int MostHeld = RelayFrame.HeaderSize + RelayFrame.MaxAskedSize;

    private RelayLoop? _loop;
    private uint _slot;
    private RelayBuffer _held;
    private bool _readable;
    private bool _given;
    private volatile bool _ended;

    /// <summary>Closes it; from any thread.</summary>
    public void End()
    {
        // Before it has its loop: then it looks when it has.
        _ended = true;
        Interlocked.MemoryBarrier();
        Volatile.Read(ref _loop)?.Post(Remove);
    }

    public void Enter(RelayLoop loop, uint slot)
    {
        _slot = slot;
        Volatile.Write(ref _loop, loop);
        Interlocked.MemoryBarrier();
        if (first.Length > 0)
        {
            _held.Add(first);
        }

        if (_ended || loop.Watch(link.Descriptor, epoll.EPOLLIN | epoll.EPOLLRDHUP | epoll.EPOLLET, slot, 0) < 0)
        {
            Remove();
        }
    }

    public void Ready(uint events, uint side)
    {
        _readable = true;
        link.Tell();
    }

    public bool Work(byte* scratch)
    {
        // Not before something is there: TLS would hold buffers for what may never come.
        while (!TryTake() && _readable)
        {
            // SAFETY: within the scratch.
            int read = link.Receive(scratch, MostHeld + 1);
            switch (read)
            {
                case > 0:
                    _held.Add(new ReadOnlySpan<byte>(scratch, read));
                    break;
                case -errno.EINTR:
                    break;
                case -errno.EAGAIN:
                    _readable = false;
                    return false;
                default:
                    Remove();
                    return false;
            }
        }

        return false;
    }

    public void Leave()
    {
        left(this);
        if (!_given)
        {
            _held.Free();
            link.Dispose();
        }
    }

    // Whether it waits no more.
    private bool TryTake()
    {
        ReadOnlySpan<byte> held = _held.Bytes;
        if (held.Length < RelayFrame.HeaderSize)
        {
            return false;
        }

        bool isNext = RelayFrame.TryRead(held, out RelayFrameKind kind, out int length) && kind == RelayFrameKind.Next;
        if (!isNext || held.Length > RelayFrame.HeaderSize + length)
        {
            violated(isNext ? "it spoke before it was answered" : "it said something else than which relay is next");
            Remove();
            return true;
        }

        if (held.Length < RelayFrame.HeaderSize + length)
        {
            return false;
        }

        byte[] content = held[RelayFrame.HeaderSize..].ToArray();
        _held.Free();
        _given = true;
        _loop!.Unwatch(link.Descriptor);
        Remove();
        asked(content);
        return true;
    }

    private void Remove() => _loop!.Remove(this, _slot);
}
