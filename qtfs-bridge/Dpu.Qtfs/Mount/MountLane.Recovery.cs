using Dpu.Fuse.Wire;
using Dpu.Qtfs.Mount.Handover;
using Microsoft.Win32.SafeHandles;

namespace Dpu.Qtfs.Mount;

// What a lane does is in memory that outlives the process: a lane of the next runtime ends what this one has begun.
internal sealed unsafe partial class MountLane
{
    private bool _mayBeAnswered;

    /// <summary>The kernel's number of a request that an earlier runtime's lane has not ended; 0 where there is none. Before it runs.</summary>
    public ulong Unfinished => _memory.Phase != LanePhase.Idle ? _memory.State.Unique
        : _memory.Unread != 0 ? ((fuse_in_header*)_request)->unique
        : 0;

    /// <summary>Whether <see cref="Unfinished"/> lies where parked requests do.</summary>
    public bool HasParked => _memory.Phase != LanePhase.Idle && _memory.State.IsParked != 0;

    private void Begin(byte* request, int length, SafeFileHandle device, bool parked)
    {
        ref LaneState state = ref _memory.State;
        (state.Unique, state.Number, state.SentIn, state.Length) = (((fuse_in_header*)request)->unique, 0, 0, length);
        (state.IsParked, state.IsGuards) = (parked ? 1U : 0, device == _mount.GuardDevice ? 1U : 0);
        if (_listing is not null && length <= LaneMemory.OriginalRoom)
        {
            // The host is asked something else.
            Buffer.MemoryCopy(request, _memory.Original, LaneMemory.OriginalRoom, length);
        }

        _memory.Phase = LanePhase.Read;
    }

    /// <summary>Ends what an earlier runtime's lane has begun.</summary>
    private void Recover(SafeFileHandle device)
    {
        LaneState state = _memory.State;
        if (_memory.Phase == LanePhase.Idle)
        {
            if (_memory.Unread != 0)
            {
                _mount.Counters.CountRecovered();
                _mount.Guard.Watch(((fuse_in_header*)_request)->unique, ((fuse_in_header*)_request)->pid);
                Serve(_request, _memory.Unread, device);
            }

            return;
        }

        using ParkedRequest? parked = state.IsParked != 0 ? _mount.TakeParked(state.Unique) : null;
        bool done = state.IsParked != 0 ? parked is null : _memory.Unread == 0;
        byte* request = parked is not null ? parked.Message : _request;
        bool isCut = _listing is not null && state.Length > LaneMemory.OriginalRoom && !ReplayRules.HasReply(((fuse_in_header*)request)->opcode);
        if (done || isCut)
        {
            // It was done, and only the phase was left; or it is a list of references which was changed, and of which some stay.
            _memory.End();
            return;
        }

        if (_listing is not null && state.Length <= LaneMemory.OriginalRoom)
        {
            Buffer.MemoryCopy(_memory.Original, request, state.Length, state.Length);
        }

        // It may bear the host's number.
        ((fuse_in_header*)request)->unique = state.Unique;
        _mayBeAnswered = _memory.Phase == LanePhase.Answering;
        _mount.Counters.CountRecovered();
        _mount.Guard.Watch(state.Unique, ((fuse_in_header*)request)->pid);
        Serve(request, state.Length, state.IsGuards != 0 ? _mount.GuardDevice : device, parked: parked is not null, again: true);
        _mayBeAnswered = false;
    }
}
