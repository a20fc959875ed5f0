using Dpu.Fuse.Wire;
using Dpu.Qtfs.Mount.Handover;

namespace Dpu.Qtfs.Mount;

/// <summary>
/// Requests without an answer that a lane has sent and the host may not have received: it has when it answers a later one. They are sent
/// again on the next connection, with their numbers, by which the host knows those that it has executed. What comes beyond the room
/// before an answer may be lost with a connection, and leaves a reference. One thread's; in the lane's memory, which outlives the process.
/// </summary>
internal sealed unsafe class UnsureForgets(LaneMemory memory)
{
    /// <summary>One was sent, in a life of the host's answers.</summary>
    public void Sent(byte* request, int length, ulong number, ulong life)
    {
        ref LaneState state = ref memory.State;
        if (life != state.UnsureLife)
        {
            Volatile.Write(ref state.UnsureLength, 0);
            state.UnsureLife = life;
        }

        int used = state.UnsureLength;
        if (life == 0 || length > LaneMemory.UnsureRoom - used)
        {
            return;
        }

        Buffer.MemoryCopy(request, memory.Unsure + used, LaneMemory.UnsureRoom - used, length);
        ((fuse_in_header*)(memory.Unsure + used))->unique = number;
        Volatile.Write(ref state.UnsureLength, used + length);
    }

    /// <summary>The host has answered something that was sent later.</summary>
    public void Arrived()
    {
        if (memory.State.UnsureLength != 0)
        {
            Volatile.Write(ref memory.State.UnsureLength, 0);
        }
    }

    /// <summary>Sends them again on a new connection, if it is of the same life.</summary>
    public void SendAgain(LaneConnection connection)
    {
        if (connection.Life != memory.State.UnsureLife)
        {
            Arrived();
        }
        else if (memory.State.UnsureLength > 0)
        {
            // Whole messages, as they frame themselves.
            connection.Send(memory.Unsure, memory.State.UnsureLength);
        }
    }
}
