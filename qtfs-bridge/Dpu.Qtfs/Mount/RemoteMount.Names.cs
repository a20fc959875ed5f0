using Dpu.Fuse;
using Dpu.Linux;
using Dpu.Qtfs.Mount.Coherence;

namespace Dpu.Qtfs.Mount;

// Names that mean something else on the host by what a program here has had done there.
public sealed partial class RemoteMount
{
    private static readonly TimeSpan ToldLimit = TimeSpan.FromSeconds(5);

    /// <summary>
    /// Something was mounted at a name of the host, or is there no longer: returns when the kernel asks for that name again. May wait for requests in the
    /// same directory.
    /// </summary>
    /// <param name="toldBy">The number of the notification that says so, where the mount has notifications; 0 where it has none.</param>
    /// <param name="directory">The node of the directory; 0 where the kernel knows none.</param>
    /// <param name="name">The name in it.</param>
    public void NameChanged(ulong toldBy, ulong directory, ReadOnlySpan<byte> name)
    {
        if (Cache is { } cache)
        {
            if (!cache.AwaitTold(toldBy, Environment.TickCount64 + (long)ToldLimit.TotalMilliseconds) && directory != 0)
            {
                var entry = Invalidation.Entry(directory, name);
                cache.Run(turn => turn.TellNow(entry));
            }

            return;
        }

        if (Options.CacheTimeout > TimeSpan.Zero && directory != 0)
        {
            TellOnce(Invalidation.Entry(directory, name));
        }
    }

    // As for what is kept right: a process that can be left behind, for this one must be able to end.
    private unsafe void TellOnce(in Invalidation invalidation)
    {
        byte[] message = new byte[Invalidation.MaxSize];
        int length = invalidation.Write(message, expireOnly: true);
        using TellerProcess? teller = TellerProcess.TryStart(_device.Handle, ConnectionNumber, State.GuardiansMemory, out string problem);
        fixed (byte* at = message)
        {
            long result;
            if (teller is null)
            {
                Log.NoTeller(_logger, Options.Target, problem);
                result = FuseDevice.WriteReply(_device.Handle, at, length);
            }
            else if (!teller.Tell(at, length, out result))
            {
                result = -errno.EPIPE;
            }

            // Who knows no such name has nothing to forget; an unmounted one neither.
            if (result is < 0 and not (-errno.ENOENT or -errno.ENODEV or -errno.ENOTCONN))
            {
                Log.NameNotTold(_logger, Options.Target, Options.CacheTimeout, $"errno {-result}");
            }
        }
    }
}
