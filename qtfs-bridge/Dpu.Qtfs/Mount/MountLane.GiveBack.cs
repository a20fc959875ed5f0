using Dpu.Fuse.Wire;

namespace Dpu.Qtfs.Mount;

// Answers that nobody takes any more.
internal sealed unsafe partial class MountLane
{
    private void GiveBack(fuse_in_header* header, byte* reply, int replyLength)
    {
        _mount.Held.TakenBack((byte*)header, (int)header->len, reply, replyLength);
        byte* messages = stackalloc byte[LostReply.MaxLength];
        LostReply.Compensate(header->opcode, header->nodeid, reply, replyLength, messages, out int release, out int forget);
        try
        {
            if (LostReply.TryUnlock((byte*)header, (int)header->len, ((fuse_out_header*)reply)->error))
            {
                _mount.Held.Locked(new ReadOnlySpan<byte>(header, (int)header->len), _connection!.State);
                _connection!.Send((byte*)header, (int)header->len);
                _connection.Receive(LostReply.InternalUnique, out _);
            }

            if (release > 0)
            {
                _connection!.Send(messages, release);
                _connection.Receive(LostReply.InternalUnique, out _);
            }

            if (forget > 0)
            {
                _connection!.Send(messages + release, forget);
            }
        }
        catch (Exception e) when (IsBroken(e))
        {
            // Expected when the link breaks here: the reference then lives until the mount ends.
            Drop(e);
        }
    }
}
