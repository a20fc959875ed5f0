using System.Runtime.InteropServices;
using Dpu.Link;

namespace Dpu.Qtfs;

/// <summary>
/// FUSE messages on a stream: they frame themselves, because request and reply headers both start with the message's
/// length. One thread receives and sends; another may read the progress marks or dispose.
/// </summary>
/// <remarks>Memory is native and fixed, so that a message costs no allocation here.</remarks>
internal sealed unsafe class FuseChannel : IDisposable
{
    // From here on the rest of a message is awaited whole: it is many parts, each of which would wake the thread.
    private const int LargeRest = 64 * 1024;

    private readonly Stream _stream;
    private readonly IWholeReads? _whole;
    private readonly int _capacity;
    private readonly int _minimumLength;
    private byte* _buffer;
    private int _available;
    private int _consumed;
    private long _partialSince;

    /// <param name="stream">Read and written synchronously; owned by the caller.</param>
    /// <param name="minimumLength">The size of the header that the other end sends, in bytes.</param>
    /// <param name="maximumLength">The longest message accepted, in bytes.</param>
    public FuseChannel(Stream stream, int minimumLength, int maximumLength)
    {
        _stream = stream;
        _whole = stream as IWholeReads;
        _minimumLength = minimumLength;
        _capacity = maximumLength;

        // SAFETY: freed once, in Dispose, after which every use sees null and throws.
        _buffer = (byte*)NativeMemory.AlignedAlloc((nuint)maximumLength, 4096);
    }

    /// <summary><see cref="Environment.TickCount64"/> when a message began that has not arrived whole; 0 where none has.</summary>
    public long PartialSince => Volatile.Read(ref _partialSince);

    /// <summary>Whether bytes have come that belong to a later message.</summary>
    public bool HasUnread => _available > _consumed;

    /// <summary>Receives one message, valid until the next call.</summary>
    /// <returns>Its length in bytes; 0 where the other end has closed between messages.</returns>
    /// <exception cref="FuseChannelException">The length is out of bounds, or the stream ended inside a message.</exception>
    /// <exception cref="IOException">The connection broke.</exception>
    public int Receive(out byte* message)
    {
        ObjectDisposedException.ThrowIf(_buffer == null, this);
        KeepRest();
        message = _buffer;
        while (true)
        {
            if (_available >= sizeof(uint))
            {
                // SAFETY: four bytes are there; the length is read once and bounded before it is used.
                uint length = *(uint*)_buffer;
                if (length < (uint)_minimumLength || length > (uint)_capacity)
                {
                    throw new FuseChannelException(
                        $"the peer announced a FUSE message of {length} bytes; allowed are {_minimumLength} to {_capacity}");
                }

                if (_available >= (int)length)
                {
                    Volatile.Write(ref _partialSince, 0);
                    _consumed = (int)length;
                    return (int)length;
                }
            }

            if (_available >= _minimumLength && _whole is not null && *(uint*)_buffer - (uint)_available >= LargeRest)
            {
                // SAFETY: the length was bounded by the capacity above, and is beyond what is there.
                int rest = (int)*(uint*)_buffer - _available;
                BeginPart();
                int got = _whole.ReadWhole(new Span<byte>(_buffer + _available, rest));
                _available += got;
                if (got < rest)
                {
                    throw new FuseChannelException($"the peer closed the connection inside a message, after {_available} bytes");
                }

                continue;
            }

            // SAFETY: _available < _capacity, for a message of _capacity bytes would have been returned above.
            int read = _stream.Read(new Span<byte>(_buffer + _available, _capacity - _available));
            if (read == 0)
            {
                if (_available == 0)
                {
                    return 0;
                }

                throw new FuseChannelException($"the peer closed the connection inside a message, after {_available} bytes");
            }

            _available += read;
            BeginPart();
        }
    }

    /// <summary>Sends a whole message.</summary>
    /// <exception cref="IOException">The connection broke; the other end cannot have the whole message.</exception>
    // SAFETY: the caller owns 'length' readable bytes.
    public void Send(byte* message, int length) => _stream.Write(new ReadOnlySpan<byte>(message, length));

    /// <inheritdoc/>
    public void Dispose()
    {
        if (_buffer != null)
        {
            // SAFETY: the thread that receives is the one that disposes.
            NativeMemory.AlignedFree(_buffer);
            _buffer = null;
        }
    }

    private void BeginPart()
    {
        if (Volatile.Read(ref _partialSince) == 0)
        {
            Volatile.Write(ref _partialSince, Environment.TickCount64);
        }
    }

    private void KeepRest()
    {
        if (_consumed == 0)
        {
            return;
        }

        _available -= _consumed;
        if (_available > 0)
        {
            // SAFETY: both ranges lie in the buffer; MemoryCopy allows overlap.
            Buffer.MemoryCopy(_buffer + _consumed, _buffer, _capacity, _available);
        }

        _consumed = 0;
    }
}
