using Dpu.Linux;
using Dpu.Relay.Wire;

namespace Dpu.Relay.Flow;

/// <summary>A connection of the link that another relay has left, at the end that asks for the next one: until that is answered. No thread waits meanwhile.</summary>
/// <param name="link">The link.</param>
/// <param name="frame">What is asked (<see cref="RelayFrameKind.Next"/>).</param>
/// <param name="limit">How long the answer may take.</param>
/// <param name="answered">Given the answer's content once, on the loop's thread, and the link with it; or null and why there is none: the link has ended then.</param>
internal sealed unsafe class AskingLink(IRelayLink link, byte[] frame, TimeSpan limit, Action<byte[]?, string> answered) : ILoopSource
{
    private RelayLoop? _loop;
    private uint _slot;
    private long _until;
    private bool _readable;

    // First the header, then the content: what follows is the relay's.
    private byte[] _room = new byte[RelayFrame.HeaderSize];
    private int _got;
    private bool _inContent;
    private bool _whole;
    private string _problem = "the daemon is stopping";

    public void Enter(RelayLoop loop, uint slot)
    {
        (_loop, _slot, _until) = (loop, slot, Environment.TickCount64 + (long)limit.TotalMilliseconds);
        int sent;
        fixed (byte* bytes = frame)
        {
            // SAFETY: pinned for the call, with its length.
            sent = link.Send(bytes, frame.Length);
        }

        // The socket was empty: one that does not take this takes nothing.
        int error = sent < 0 ? sent : sent < frame.Length || link.IsFull ? -errno.EAGAIN : loop.Watch(link.Descriptor, epoll.EPOLLIN | epoll.EPOLLRDHUP | epoll.EPOLLET, slot, 0);
        if (error < 0)
        {
            End($"the connection broke: errno {-error}");
            return;
        }

        loop.TickLater(this, slot);
    }

    public void Ready(uint events, uint side)
    {
        _readable = true;
        link.Tell();
    }

    public void Tick()
    {
        if (Environment.TickCount64 >= _until)
        {
            End("the other end did not answer in time");
            return;
        }

        _loop!.TickLater(this, _slot);
    }

    public bool Work(byte* scratch)
    {
        while (_readable)
        {
            int read;
            fixed (byte* room = _room)
            {
                // SAFETY: pinned for the call, with the rest of its length.
                read = link.Receive(room + _got, _room.Length - _got);
            }

            switch (read)
            {
                case > 0:
                    _got += read;
                    if (_got == _room.Length && IsAnswered())
                    {
                        return false;
                    }

                    break;
                case -errno.EINTR:
                    break;
                case -errno.EAGAIN:
                    _readable = false;
                    break;
                default:
                    End(read == 0 ? "the other end has closed the connection" : $"the connection broke: errno {-read}");
                    return false;
            }
        }

        return false;
    }

    public void Leave()
    {
        if (_whole)
        {
            answered(_room, "");
            return;
        }

        link.Dispose();
        answered(null, _problem);
    }

    // Whether nothing more is to be read.
    private bool IsAnswered()
    {
        if (!_inContent)
        {
            if (!RelayFrame.TryRead(_room, out RelayFrameKind kind, out int length) || kind != RelayFrameKind.Answer)
            {
                End("the other end did not answer which relay is next");
                return true;
            }

            (_inContent, _room, _got) = (true, new byte[length], 0);
            return false;
        }

        _whole = true;
        _loop!.Unwatch(link.Descriptor);
        _loop.Remove(this, _slot);
        return true;
    }

    private void End(string problem)
    {
        _problem = problem;
        _loop!.Remove(this, _slot);
    }
}
