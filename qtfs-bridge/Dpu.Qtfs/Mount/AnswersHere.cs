using Dpu.Linux;

namespace Dpu.Qtfs.Mount;

/// <summary>Requests that are answered on the DPU, since what the host would say is known.</summary>
internal static unsafe class AnswersHere
{
    /// <summary>Whether the answer is known: 0 or a negated errno, without a body.</summary>
    public static bool TryAnswer(RemoteMount mount, byte* request, int length, out int answer)
    {
        if (mount.Held.TryAnswer(request, length, out answer))
        {
            return true;
        }

        answer = mount.Cache?.Fresh.HasNoCapability(request, length) == true ? -errno.ENODATA : 0;
        return answer != 0 || mount.Flushes.IsNeedless(request, length);
    }

    /// <summary>A request is about to be sent to the host; call it before.</summary>
    public static void Sending(RemoteMount mount, byte* request, int length)
    {
        mount.Flushes.Sending(request, length);
        mount.Held.Sending(request, length);
        if (mount.Cache is { } cache)
        {
            cache.Sending((Fuse.Wire.fuse_in_header*)request);
            cache.Fresh.Sending(request);
            cache.Directories.Sending(request, length);
            if (mount.AsksAhead)
            {
                cache.Contents.Passes(request, length);
                cache.Contents.Ask(request, length);
            }
        }
    }
}
