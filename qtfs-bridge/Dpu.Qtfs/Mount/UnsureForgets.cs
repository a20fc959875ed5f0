using System.Runtime.InteropServices;
using Dpu.Fuse.Wire;

namespace Dpu.Qtfs.Mount;

/// <summary>
/// Requests without an answer that a lane has sent and the host may not have received: it has when it answers a later one. They are sent
/// again on the next connection, with their numbers, by which the host knows those that it has executed. One thread's.
/// </summary>
internal sealed unsafe class UnsureForgets : IDisposable
{
    /// <summary>How much is remembered, in bytes; what comes beyond it before an answer may be lost with a connection, and leaves a reference.</summary>
    public const int Room = 64 << 10;

    private byte* _messages;
    private int _length;
    private ulong _life;

    /// <summary>One was sent, in a life of the host's answers.</summary>
    public void Sent(byte* request, int length, ulong number, ulong life)
    {
        if (life != _life)
        {
            (_life, _length) = (life, 0);
        }

        if (life == 0 || length > Room - _length)
        {
            return;
        }

        if (_messages == null)
        {
            // SAFETY: freed in Dispose, by the lane's thread.
            _messages = (byte*)NativeMemory.Alloc(Room);
        }

        Buffer.MemoryCopy(request, _messages + _length, Room - _length, length);
        ((fuse_in_header*)(_messages + _length))->unique = number;
        _length += length;
    }

    /// <summary>The host has answered something that was sent later.</summary>
    public void Arrived() => _length = 0;

    /// <summary>Sends them again on a new connection, if it is of the same life.</summary>
    public void SendAgain(LaneConnection connection)
    {
        if (connection.Life != _life)
        {
            _length = 0;
        }
        else if (_length > 0)
        {
            // Whole messages, as they frame themselves.
            connection.Send(_messages, _length);
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        // SAFETY: allocated by Sent; nulled so that a second call is harmless.
        NativeMemory.Free(_messages);
        _messages = null;
    }
}
