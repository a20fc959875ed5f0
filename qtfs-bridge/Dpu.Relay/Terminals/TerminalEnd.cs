using Dpu.Linux;
using Dpu.Relay.Flow;
using Microsoft.Win32.SafeHandles;

namespace Dpu.Relay.Terminals;

/// <summary>
/// One end of a relayed terminal: the terminal, which does not wait, and a SOCK_SEQPACKET socket on which the ends send each other
/// <see cref="TerminalMessage"/>s. Holds one message for each direction at most; who sends more is held up by the kernel's own buffers. Used by its
/// loop's thread.
/// </summary>
/// <remarks>
/// The kernel does not tell of a changed size, nor of changed modes, but on a master, and there only where nobody processes bytes. So they are looked
/// at whenever something moves, and a few times a second. The cooked end has the last word on both, so that changes at both ends at once end alike.
/// </remarks>
internal sealed unsafe class TerminalEnd : ILoopSource
{
    // More than a terminal's buffer holds at once (4 KiB); a hostile peer's message of more is a violation.
    private const int Most = 16 << 10;

    // Messages of one direction before others have their turn.
    private const int Budget = 16;
    private const uint TerminalIs = 0;
    private const uint SocketIs = 1;

    private readonly SafeFileHandle _terminal;
    private readonly SafeFileHandle _socket;
    private readonly TerminalSide _side;
    private readonly TerminalOptions _options;
    private readonly TerminalSettings _original;
    private RelayBuffer _toTerminal;
    private RelayBuffer _toSocket;
    private TerminalModes _modes;
    private TerminalModes _shown;
    private TerminalSize _size;
    private bool _tellsModes;
    private bool _tellsSize;
    private bool _socketReadable = true;
    private bool _socketWritable = true;
    private bool _terminalReadable = true;
    private bool _terminalWritable = true;
    private bool _hungUp;
    private bool _toldHangup;
    private bool _otherEnded;
    private bool _otherHungUp;
    private RelayLoop? _loop;
    private uint _slot;

    private TerminalEnd(SafeFileHandle terminal, SafeFileHandle socket, TerminalSide side, TerminalSettings settings, TerminalOptions options)
    {
        (_terminal, _socket, _side, _original, _options) = (terminal, socket, side, settings, options);
        (_modes, _size) = (settings.Modes, settings.Dimensions);

        // The other end's is made from what was told when it was passed, and may be out of date. The raw end says nothing: it could undo what a program has
        // done to the twin meanwhile.
        _tellsModes = _tellsSize = !options.IsTwin && side == TerminalSide.Cooked;
        if (side == TerminalSide.Raw)
        {
            Show();
        }
    }

    /// <summary>Makes one; both handles are its own from now on. Null where it is no terminal.</summary>
    /// <param name="terminal">A master for the cooked side, else a slave or another terminal. It has O_NONBLOCK, or a thread that is only its own.</param>
    /// <param name="socket">The near end of a pair, whose other end is relayed. It has O_NONBLOCK.</param>
    /// <param name="side">What the terminal is.</param>
    /// <param name="settings">By which bytes are processed, where that is known already; null for the terminal's own.</param>
    /// <param name="options">The rest.</param>
    public static TerminalEnd? TryMake(SafeFileHandle terminal, SafeFileHandle socket, TerminalSide side, TerminalSettings? settings, TerminalOptions options)
    {
        settings ??= TerminalSettings.Of(terminal);
        if (settings is not null)
        {
            return new TerminalEnd(terminal, socket, side, settings, options);
        }

        terminal.Dispose();
        socket.Dispose();
        return null;
    }

    /// <inheritdoc/>
    public void Enter(RelayLoop loop, uint slot)
    {
        (_loop, _slot) = (loop, slot);
        const uint Events = epoll.EPOLLIN | epoll.EPOLLOUT | epoll.EPOLLRDHUP | epoll.EPOLLET;
        if (loop.Watch((int)_terminal.DangerousGetHandle(), Events, slot, TerminalIs) < 0 || loop.Watch((int)_socket.DangerousGetHandle(), Events, slot, SocketIs) < 0)
        {
            loop.Remove(this, slot);
            return;
        }

        loop.TickLater(this, slot);
    }

    /// <inheritdoc/>
    public void Ready(uint events, uint side)
    {
        bool readable = (events & (epoll.EPOLLIN | epoll.EPOLLHUP | epoll.EPOLLERR | epoll.EPOLLRDHUP)) != 0;
        bool writable = (events & (epoll.EPOLLOUT | epoll.EPOLLHUP | epoll.EPOLLERR)) != 0;
        if (side == SocketIs)
        {
            (_socketReadable, _socketWritable) = (_socketReadable || readable, _socketWritable || writable);
        }
        else
        {
            (_terminalReadable, _terminalWritable) = (_terminalReadable || readable, _terminalWritable || writable);
        }
    }

    /// <inheritdoc/>
    public void Tick()
    {
        // A writer of another program may have held the terminal when it had room, which is not told again.
        _terminalWritable = true;
        _loop!.TickLater(this, _slot);
    }

    /// <inheritdoc/>
    public bool Work(byte* scratch)
    {
        Look();
        bool more = Down(scratch) | Up(scratch);
        if (!IsOver)
        {
            return more;
        }

        _loop!.Remove(this, _slot);
        return false;
    }

    /// <inheritdoc/>
    public void Leave()
    {
        if (_side == TerminalSide.Raw && !_options.IsTwin)
        {
            // As the other end's programs have left it; where the link broke they could not, and it is as it was.
            _ = (_otherHungUp ? _modes : _original.Modes).Write(_terminal);
        }

        // What still comes would reset the other way, where the last bytes may be waiting.
        _ = sys_socket.shutdown(_socket, sys_socket.SHUT_RDWR);
        byte rest;
        while (LibC.Result(sys_socket.recv((int)_socket.DangerousGetHandle(), &rest, 1, msg_flags.MSG_DONTWAIT)) > 0)
        {
            // Nobody takes it any more.
        }

        _toTerminal.Free();
        _toSocket.Free();
        _terminal.Dispose();
        _socket.Dispose();
        _options.Ended?.Invoke();
    }

    private bool IsOver => (_hungUp && _toldHangup && _toSocket.Length == 0) || (_otherEnded && _toTerminal.Length == 0);

    private void Look()
    {
        if (_hungUp)
        {
            return;
        }

        TerminalSize size = TerminalSize.Of(_terminal);
        if (size != _size)
        {
            (_size, _tellsSize) = (size, true);
        }

        if (TerminalModes.TryRead(_terminal, out TerminalModes modes) < 0)
        {
            return;
        }

        if (_side == TerminalSide.Cooked && modes != _modes)
        {
            (_modes, _tellsModes) = (modes, true);
        }
        else if (_side == TerminalSide.Raw && modes != _shown)
        {
            (_modes, _tellsModes) = (_modes.Changed(_shown, modes), true);
            Show();
        }
    }

    private void Show()
    {
        _ = _modes.Shown().Write(_terminal);

        // The kernel has its own mind about some.
        _ = TerminalModes.TryRead(_terminal, out _shown);
    }

    // From the other end.
    private bool Down(byte* scratch)
    {
        for (int turn = 0; turn < Budget; turn++)
        {
            if (_toTerminal.Length > 0 && !Flush())
            {
                return false;
            }

            if (!_socketReadable || _otherEnded)
            {
                return false;
            }

            // SAFETY: the loop's memory, which is longer.
            int read = (int)LibC.Result(sys_socket.recv((int)_socket.DangerousGetHandle(), scratch, Most + 2, msg_flags.MSG_DONTWAIT));
            switch (read)
            {
                case -errno.EAGAIN:
                    _socketReadable = false;
                    return false;
                case -errno.EINTR:
                    break;
                case <= 0:
                    _otherEnded = true;
                    return false;
                default:
                    _otherEnded = !TryHear(new ReadOnlySpan<byte>(scratch, read));
                    break;
            }
        }

        return true;
    }

    // False where it is the last, or nonsense.
    private bool TryHear(ReadOnlySpan<byte> message)
    {
        ReadOnlySpan<byte> content = message[1..];
        switch ((TerminalMessage)message[0])
        {
            case TerminalMessage.Data when content.Length is > 0 and <= Most:
                if (_options.Writes && !_hungUp)
                {
                    _toTerminal.Add(content);
                }

                return true;
            case TerminalMessage.Modes when content.Length == TerminalModes.Size:
                if (_side == TerminalSide.Cooked)
                {
                    _modes = TerminalModes.Read(content);
                    _ = _modes.Write(_terminal);
                    _tellsModes = true;
                }
                else if (!_tellsModes)
                {
                    // Else what is told is newer, and will be answered.
                    _modes = TerminalModes.Read(content);
                    Show();
                }

                return true;
            case TerminalMessage.Size when content.Length == TerminalSize.Size:
                var size = TerminalSize.Read(content);
                if (size != _size && (_side == TerminalSide.Cooked || !_tellsSize))
                {
                    _ = size.Set(_terminal);
                    _size = TerminalSize.Of(_terminal);
                    _tellsSize = _side == TerminalSide.Cooked;
                }

                return true;
            case TerminalMessage.HungUp:
                _otherHungUp = true;
                return false;
            default:
                return false;
        }
    }

    private bool Flush()
    {
        while (_terminalWritable && _toTerminal.Length > 0)
        {
            ReadOnlySpan<byte> bytes = _toTerminal.Bytes;
            int written;
            fixed (byte* first = bytes)
            {
                // SAFETY: pinned for the call, with its length.
                written = (int)LibC.Result(LibC.write((int)_terminal.DangerousGetHandle(), first, (nuint)bytes.Length));
            }

            switch (written)
            {
                case > 0:
                    _toTerminal.Gone(written);
                    break;
                case 0 or -errno.EAGAIN:
                    _terminalWritable = false;
                    break;
                case -errno.EINTR:
                    break;
                default:
                    // EIO: nobody has its other end.
                    _toTerminal.Free();
                    HangUp();
                    break;
            }
        }

        return _toTerminal.Length == 0;
    }

    // To the other end.
    private bool Up(byte* scratch)
    {
        for (int turn = 0; turn < Budget; turn++)
        {
            if (_toSocket.Length > 0)
            {
                if (!_socketWritable || !TrySend(_toSocket.Bytes))
                {
                    return false;
                }

                _toSocket.Free();
            }

            Span<byte> message = new(scratch, 1 + Most);
            int length = Next(message);
            if (length == 0)
            {
                return false;
            }

            if (!TrySend(message[..length]))
            {
                _toSocket.Add(message[..length]);
                return false;
            }
        }

        return true;
    }

    private int Next(Span<byte> message)
    {
        if (_toldHangup || _otherEnded)
        {
            return 0;
        }

        if (_tellsSize)
        {
            _tellsSize = false;
            message[0] = (byte)TerminalMessage.Size;
            _size.CopyTo(message[1..]);
            return 1 + TerminalSize.Size;
        }

        if (_tellsModes)
        {
            _tellsModes = false;
            message[0] = (byte)TerminalMessage.Modes;
            _modes.CopyTo(message[1..]);
            return 1 + TerminalModes.Size;
        }

        int read = _hungUp ? 0 : Read(message[1..]);
        if (_hungUp)
        {
            _toldHangup = true;
            message[0] = (byte)TerminalMessage.HungUp;
            return 1;
        }

        message[0] = (byte)TerminalMessage.Data;
        return read > 0 ? 1 + read : 0;
    }

    private int Read(Span<byte> room)
    {
        while (_terminalReadable)
        {
            if (!_options.Reads)
            {
                // Only its end is waited for.
                _terminalReadable = false;
                HangUpIfAlone();
                return 0;
            }

            int read;
            fixed (byte* first = room)
            {
                // SAFETY: pinned for the call, with its length.
                read = (int)LibC.Result(LibC.read((int)_terminal.DangerousGetHandle(), first, (nuint)room.Length));
            }

            switch (read)
            {
                case > 0:
                    return read;
                case -errno.EINTR:
                    break;
                case -errno.EAGAIN:
                    _terminalReadable = false;
                    return 0;
                case 0:
                    return ReadNothing(room);
                default:
                    HangUp();
                    return 0;
            }
        }

        return 0;
    }

    // Hung up; or Ctrl-D alone, which the kernel gives as nothing though somebody else processes it (copy_from_read_buf); or a program has asked for VMIN 0.
    private int ReadNothing(Span<byte> room)
    {
        HangUpIfAlone();
        room[0] = _shown.EndOfFile;
        if (!_hungUp && _side == TerminalSide.Raw && room[0] != 0)
        {
            return 1;
        }

        _terminalReadable = false;
        return 0;
    }

    private void HangUpIfAlone()
    {
        if ((poll.Now(_terminal, 0) & (poll.POLLHUP | poll.POLLERR)) != 0)
        {
            HangUp();
        }
    }

    private void HangUp() => _hungUp = true;

    private bool TrySend(ReadOnlySpan<byte> message)
    {
        fixed (byte* first = message)
        {
            // SAFETY: pinned for the call, with its length.
            int sent = (int)LibC.Result(sys_socket.send((int)_socket.DangerousGetHandle(), first, (nuint)message.Length, msg_flags.MSG_NOSIGNAL | msg_flags.MSG_DONTWAIT));
            _socketWritable = sent >= 0;

            // Where it is over the other direction tells.
            return sent >= 0 || sent is not (-errno.EAGAIN or -errno.EINTR or -errno.ENOBUFS);
        }
    }
}
