using System.Diagnostics.CodeAnalysis;
using Dpu.Fuse;
using Dpu.Keeper;
using Dpu.Linux;
using Dpu.Proto.V1;
using Dpu.Qtfs.Export.Mounting;
using Google.Protobuf;

namespace Dpu.Qtfs.Export;

// What programs of peers mount below exports.
public sealed partial class ExportService
{
    private const int TokenSize = 16;

    private MountLedger? _ledger;
    private long _mountChanges;
    private long _mountsRefused;

    /// <summary>Mounts that there are, of those that were made for DPUs.</summary>
    public int MadeMounts => Volatile.Read(ref _ledger)?.Count ?? 0;

    /// <summary>Changes of mounts that DPUs have asked for and that were made.</summary>
    public long MountChanges => Interlocked.Read(ref _mountChanges);

    /// <summary>Those that were refused, or have failed.</summary>
    public long MountsRefused => Interlocked.Read(ref _mountsRefused);

    /// <summary>Remembers what DPUs have had mounted, from now on and from earlier lives; before the first call.</summary>
    /// <param name="keeping">Holds that; null where it ends with the process.</param>
    public void RestoreMounts(Keeping? keeping)
    {
        if (KernelMounts.Available)
        {
            var ledger = new MountLedger(keeping);
            Volatile.Write(ref _ledger, ledger);
            if (ledger.Restored > 0 || ledger.Count > 0)
            {
                Log.MountsRestored(_logger, ledger.Count, ledger.Restored);
            }
        }
    }

    /// <summary>Changes this machine's mounts for a peer, once for each token. Blocks; on a thread that serves nothing else, as the daemon itself.</summary>
    public ChangeMountResponse ChangeMount(string peer, ChangeMountRequest asked)
    {
        ArgumentNullException.ThrowIfNull(asked);
        if (Volatile.Read(ref _ledger) is not { } ledger)
        {
            return new ChangeMountResponse { Error = errno.EOPNOTSUPP, Reason = "the host's kernel has no numbers of mounts that are never used again (Linux 6.8)" };
        }

        if (asked.Life != ledger.Life)
        {
            return new ChangeMountResponse { OtherLife = true, Life = ledger.Life };
        }

        if (asked.Token.Length != TokenSize)
        {
            return new ChangeMountResponse { Error = errno.EINVAL, Reason = $"a token has {TokenSize} bytes" };
        }

        ExportedMount? mount = null;
        if (asked.Target is not null)
        {
            lock (_lock)
            {
                mount = _sessions.GetValueOrDefault(Convert.ToHexStringLower(asked.Session.Span)) is { } session && session.Peer == peer
                    && session.Mounts.GetValueOrDefault(asked.Target.MountId) is { Ended: false } found ? found : null;
            }
        }

        int slot = ledger.Begin(MountLedger.HashOf(peer), asked.Token.Span, asked.Change, out int result);
        MountPlace? target = null;
        string reason = slot < 0 ? "as it was done before" : "the session has no such mount, or the place is gone or outside of the export";
        try
        {
            int error = mount is null ? -errno.ESTALE : MountPlace.Find(mount, asked.Target!, out target);
            byte[] place = target?.Place ?? [];
            if (slot >= 0)
            {
                result = error < 0 ? error : Do(peer, asked, target!, ledger, slot, out reason);
            }

            return Answer(ledger, mount, place, result, reason);
        }
        finally
        {
            if (slot >= 0)
            {
                ledger.End(slot, result);
                _ = Interlocked.Increment(ref (result == 0 ? ref _mountChanges : ref _mountsRefused));
            }

            target?.Dispose();
        }
    }

    [SuppressMessage("Design", "CA1031", Justification = "A caller waits, and a bug must not leave the token without a result.")]
    private int Do(string peer, ChangeMountRequest asked, MountPlace target, MountLedger ledger, int slot, out string reason)
    {
        using var call = new MountCall(peer, asked, target, ledger, slot, id => MountBeside(target.Mount, id), LetGo, _logger);
        try
        {
            int result = call.Do();
            reason = call.Reason;
            return result;
        }
        catch (Exception e)
        {
            Log.MountBug(_logger, asked.Change, target.Mount.Export.Name, e);
            reason = "the host's agent has failed; see its log";
            return -errno.EIO;
        }
    }

    // Who is told of it, and by which number.
    private ChangeMountResponse Answer(MountLedger ledger, ExportedMount? mount, byte[] place, int result, string reason)
    {
        var response = new ChangeMountResponse { Life = ledger.Life, Error = -result, Reason = result == 0 ? "" : reason };
        if (result == 0 && mount is not null)
        {
            _hostMounts?.Refresh();
            response.ToldBy = mount.Changes?.Settle() ?? 0;
            response.Directory = place.Length == 0 ? 0 : mount.Files.FindMountPoint(place, out ReadOnlySpan<byte> name) is var directory && directory != 0 && Named(response, name) ? directory : 0;
        }

        return response;
    }

    private static bool Named(ChangeMountResponse response, ReadOnlySpan<byte> name)
    {
        response.Name = ByteString.CopyFrom(name);
        return true;
    }

    // All DPUs' nodes of it, for any of them may have looked into it.
    private bool LetGo(ulong number)
    {
        ExportedMount[] mounts;
        lock (_lock)
        {
            mounts = [.. _sessions.Values.SelectMany(session => session.Mounts.Values)];
        }

        bool isFree = true;
        foreach (ExportedMount mount in mounts)
        {
            isFree &= mount.Files.TryLetGo(number);
        }

        return isFree;
    }
}
