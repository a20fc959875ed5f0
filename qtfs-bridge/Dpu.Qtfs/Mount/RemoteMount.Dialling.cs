using Dpu.Link;
using Dpu.Proto.V1;
using Dpu.Qtfs.Export;

namespace Dpu.Qtfs.Mount;

// Connections to the host, and what the mount asks of them.
public sealed partial class RemoteMount
{
    private static readonly TimeSpan AskPause = TimeSpan.FromMilliseconds(500);

    internal LinkConnection DialLane(uint number, bool waits = false) => Dial(number, FsChannel.Requests, waits);

    // Programs of the host may wait already for sockets that programs here have bound, and no request need come soon.
    private void AskForOffered()
    {
        if (Sockets is not null)
        {
            new Thread(AskHost, 256 * 1024) { IsBackground = true, Name = "offered" }.Start();
        }
    }

    private void AskHost()
    {
        ulong last = 0;
        while (!Stopping && !_ended.Task.IsCompleted)
        {
            try
            {
                if (Connector.WaitUp(AskPause))
                {
                    using LinkConnection lane = Dial(0, FsChannel.Requests, waits: false, offeredAfter: last);
                    var offered = lane.Reply.Fs.Offered;
                    Sockets!.Own.Recover(offered);
                    ulong before = last;
                    last = offered.Count == 0 ? last : offered[^1].Node;
                    if (offered.Count < ExportService.MostOffered || last <= before)
                    {
                        return;
                    }
                }
            }
            catch (Exception e) when (e is LinkException or OperationCanceledException or ObjectDisposedException)
            {
                // Expected: the link broke, or the mount has ended.
                PauseAfterRefusal(AskPause);
            }
        }
    }

    internal void TellUnknownBinding(bool isUnknown, uint thread)
    {
        if (isUnknown)
        {
            Log.UnknownBinding(_logger, Options.Target, thread);
        }
    }

    internal LinkConnection DialNotifications() => Dial(0, FsChannel.Notifications, waits: false);

    private LinkConnection Dial(uint number, FsChannel channel, bool waits, ulong? offeredAfter = null)
    {
        ulong id = Volatile.Read(ref _id);
        var parameters = new FsParameters
        {
            Export = Options.Export,
            MountId = id,
            Lane = number,
            ReadOnly = Options.ReadOnly,
            CacheTimeoutNs = (ulong)(Options.CacheTimeout.Ticks * 100),
            Coherent = Options.Coherent,
            Channel = channel,
            HostLocks = Options.Locks != MountLocks.Local,
            Waits = waits,
            NumberedGrants = Grants is not null,
            QuietCloses = true,
            DirectoryAttributes = AsksAhead,
            OpenedContent = AsksAhead,
            ZeroMessageOpen = ZeroMessageOpen,
            Returns = true,
            Sockets = Sockets is not null,
            ListsOffered = offeredAfter is not null,
            OfferedAfter = offeredAfter ?? 0,
            NumberedRequests = channel == FsChannel.Requests && !waits && Options.Transport == MountTransport.Fuse,
        };
        try
        {
            LinkConnection lane = Connector.DialLane(parameters, _stopping.Token);
            if (lane.Reply.Fs is not null)
            {
                return lane;
            }

            lane.Dispose();
            throw new LinkException(LinkError.Protocol, $"host '{Options.Host}' accepted a lane without saying how it serves it");
        }
        catch (LinkException e) when (e.Status == HelloStatus.SessionInvalid)
        {
            // The host has ended the mount of that id. One lane renews it for all.
            if (Interlocked.CompareExchange(ref _id, (ulong)Random.Shared.NextInt64(), id) == id && InitExchange.Answered.IsSet)
            {
                Describe();
            }

            throw;
        }
    }
}
