using Dpu.Fuse;
using Dpu.Fuse.Wire;
using Dpu.Linux;
using Dpu.Qtfs.Mount.Processes;
using Microsoft.Win32.SafeHandles;

namespace Dpu.Qtfs.Mount;

// A mount of a host's procfs into which this machine's own processes are put.
internal sealed unsafe partial class MountLane
{
    // A reply holds two dozen entries at least: more than all processes that a machine can have (PID_MAX_LIMIT, 4 Mi).
    private const int MostRounds = 1 << 18;

    /// <summary>Answers what is not the host's; of a listing makes what the host is asked.</summary>
    /// <returns>Whether it was answered.</returns>
    private bool AnswerOwn(byte* request, ref int length, SafeFileHandle device)
    {
        var header = (fuse_in_header*)request;
        int answered = ProcessListing.IsListing(request, length)
            ? _listing!.Begin(request)
            : _mount.Merge!.TryAnswer(request, ref length, _listing!.Reply);
        if (answered == ProcessMerge.Forward)
        {
            return false;
        }

        bool failed = answered > 0 && ((fuse_out_header*)_listing.Reply)->error != 0;
        Current.Outcome(length, Math.Max(0, answered), failed);

        // ENOENT: nobody waits for it any more. Nothing is kept of what was told.
        if (answered > 0 && Claim(header->unique) && FuseDevice.WriteReply(device, _listing.Reply, answered) is < 0 and not (-errno.ENOENT or -errno.ENODEV) and int refused)
        {
            _mount.Reply(device, header->unique, refused);
        }

        return true;
    }

    /// <summary>Puts together what the host answered and what is this machine's own.</summary>
    /// <returns>The length of what <paramref name="reply"/> is now.</returns>
    private int Merge(byte* request, int length, ref byte* reply, int replyLength)
    {
        var header = (fuse_in_header*)request;
        if (!ProcessListing.IsListing(request, length))
        {
            return ProcessMerge.IsForged(header->opcode, reply, replyLength)
                ? throw new FuseChannelException("the host named a node that is this machine's own")
                : replyLength;
        }

        int merged = _listing!.Take(request, reply, replyLength);
        for (int round = 0; merged == 0; round++)
        {
            if (round == MostRounds)
            {
                throw new FuseChannelException($"the host has listed nothing but the reader's own processes {MostRounds} times");
            }

            // Nothing of that was for the reader, and no entries at all would be the end of the list.
            _requestNumber = NextNumber();
            Send(request, length);
            merged = _listing.Take(request, reply, Receive(header, out reply));
        }

        reply = _listing.Reply;
        return merged;
    }
}
