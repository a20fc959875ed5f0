using Dpu.Linux;

namespace Dpu.Relay.Flow;

// Descriptors that programs pass beside their data. To say what they are, and to make others of the kind, may take long: that is done
// elsewhere, and this direction rests meanwhile.
internal sealed unsafe partial class Relay
{
    private bool _rightsAhead;
    private bool _describing;
    private bool _making;
    private bool _isRights;
    private int[]? _given;
    private bool _gone;

    private void Describe(int[] descriptors, ReadOnlySpan<byte> data)
    {
        // Until then the frame is nobody's but this array's: the room that it came in is another relay's next.
        byte[] frame = data.ToArray();
        _describing = true;
        _passing!.Describe(descriptors, rights => _loop!.Post(() =>
        {
            _describing = false;
            if (_gone)
            {
                return;
            }

            Span<byte> header = stackalloc byte[Wire.RelayFrame.HeaderSize];
            Wire.RelayFrame.Write(header, Wire.RelayFrameKind.Rights, rights.Length);
            _toLink.Add(header, sent: 0);
            _toLink.Add(rights, sent: 0);
            _toLink.Add(frame, sent: 0);
            _loop.Schedule(this, _slot);
        }));
    }

    /// <summary>Whether what follows waits for them.</summary>
    private bool Make(ReadOnlySpan<byte> content)
    {
        if (_passing is null || _given is not null || _end != LocalEnd.Socket)
        {
            Do(_state.Broken());
            return true;
        }

        if (!_state.WritesLocal)
        {
            return false;
        }

        _making = true;
        _passing.Make(content.ToArray(), made => _loop!.Post(() =>
        {
            _making = false;
            if (_gone)
            {
                _passing.Close(made ?? []);
                return;
            }

            if (made is null)
            {
                Do(_state.Broken());
                return;
            }

            _given = made;
            _loop.Schedule(this, _slot);
        }));
        return true;
    }

    // The kernel has them now, or nobody gets them.
    private void LetGo()
    {
        if (_given is { } given)
        {
            _given = null;
            _passing!.Close(given);
        }
    }
}
