namespace Dpu.Relay.Processes;

// How many bytes are on their way: each acknowledgement says for how many there is room behind it. Who says nothing of that (an earlier version) has room for one
// frame, whatever has come of the one before.
internal sealed unsafe partial class ProcessStream
{
    // Behind the first frame only what is worth one: many small pieces cost more than the wait for what is on its way.
    private const int Worthwhile = ProcessFrame.MaxData / 2;

    // A pipe's first and last page may hold less.
    private const int RoomLost = 2 * 4096;

    // Of what is received: the last bytes had no room, and those behind them follow nothing until they have come again.
    private bool _isBehind;
    private bool _asksAgain;

    /// <summary>Bytes of the next frame from where the last one has ended; 0 where none is to go now.</summary>
    private int NextData()
    {
        ulong ready = Pipe.End - _sent;
        if (_sent == Pipe.First)
        {
            return (int)Math.Min(ready, ProcessFrame.MaxData);
        }

        ulong room = _limit > _sent ? _limit - _sent : 0;
        return ready >= Worthwhile && room >= Worthwhile ? (int)Math.Min(Math.Min(ready, room), ProcessFrame.MaxData) : 0;
    }

    // The other end has all before the pipe's first byte.
    private void Acknowledge(ProcessAckFlags flags)
    {
        int room = (int)(flags & ProcessAckFlags.Room) >> 4;
        _limit = Pipe.First + ((ulong)room * ProcessFrame.RoomUnit);

        // What it did not take is sent again: an earlier version takes one frame, and says nothing more of it.
        if (room == 0 || (flags & ProcessAckFlags.Again) != 0 || !_isSynchronized || _sent < Pipe.First)
        {
            _sent = Pipe.First;
        }

        _isSynchronized = true;
    }

    private ProcessAckFlags Room()
    {
        ProcessAckFlags again = _asksAgain ? ProcessAckFlags.Again : 0;
        _asksAgain = false;
        return again | (ProcessAckFlags)(Math.Clamp((Pipe.Size - Pipe.Count - RoomLost) / ProcessFrame.RoomUnit, 0, ProcessFrame.MostRoom) << 4);
    }
}
