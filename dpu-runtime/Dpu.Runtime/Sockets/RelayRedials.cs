using System.Diagnostics;
using Dpu.Link;
using Dpu.Proto.V1;
using Dpu.Relay;
using Dpu.Runtime.Hosts;
using Google.Protobuf;

namespace Dpu.Runtime.Sockets;

/// <summary>Dials again for relays whose connection of the link was lost. Thread-safe.</summary>
/// <param name="hosts">The links.</param>
internal sealed class RelayRedials(HostLinks hosts) : IDisposable
{
    private static readonly TimeSpan FirstPause = TimeSpan.FromMilliseconds(20);
    private static readonly TimeSpan LongestPause = TimeSpan.FromSeconds(1);

    private readonly DialThreads _threads = new("socket redial");
    private readonly ManualResetEventSlim _stopping = new();

    /// <summary>Has a relay go on as soon as the link is back; it gives up where the host has the relay no more. Does not block.</summary>
    public void Begin(string host, LostRelay lost)
    {
        long since = Stopwatch.GetTimestamp();
        _threads.Run(() =>
        {
            if (Dial(host, lost.Token, lost.Received, () => lost.IsOver ? TimeSpan.Zero : lost.Within - Stopwatch.GetElapsedTime(since), out ulong received) is { } connection)
            {
                lost.Resume(connection, received);
            }
            else
            {
                lost.GiveUp();
            }
        });
    }

    /// <summary>
    /// Takes up a relay that the host may have begun, as the link broke before it could say so; blocks. Null where it has not, or the link
    /// does not come back in time.
    /// </summary>
    public LinkConnection? TakeUp(string host, RelayContinuity continuity)
    {
        long since = Stopwatch.GetTimestamp();
        LinkConnection? connection = Dial(host, continuity.Token, 0, () => continuity.Within - Stopwatch.GetElapsedTime(since), out ulong received);
        if (connection is not null && received != 0)
        {
            // Nothing was sent.
            connection.Dispose();
            return null;
        }

        return connection;
    }

    /// <summary>Waits a moment before something is tried again; false where the runtime stops.</summary>
    public bool Pause() => !_stopping.Wait(FirstPause);

    /// <inheritdoc/>
    public void Dispose()
    {
        _stopping.Set();
        _threads.Dispose();
    }

    // Null where the host has it no more, or there is no time left.
    private LinkConnection? Dial(string host, Guid token, ulong have, Func<TimeSpan> left, out ulong received)
    {
        received = 0;
        TimeSpan pause = FirstPause;
        while (left() is { Ticks: > 0 } time && hosts.Find(host) is { } link)
        {
            if (!link.WaitUp(time < LongestPause ? time : LongestPause))
            {
                continue;
            }

            LinkConnection? connection = null;
            bool resumed = false;
            try
            {
                connection = link.DialRelay(new RelayParameters { Resumed = new ResumedRelay { Token = ByteString.CopyFrom(token.ToByteArray()), Received = have } });
                resumed = RelayDialer.AwaitResumed(connection, out received);
                return resumed ? connection : null;
            }
            catch (LinkException e) when (e.Status is HelloStatus.NotPermitted or HelloStatus.Malformed or HelloStatus.ServiceUnknown or HelloStatus.SessionInvalid)
            {
                // It has ended there, or the agent has restarted.
                return null;
            }
            catch (Exception e) when (e is LinkException or IOException or ObjectDisposedException or OperationCanceledException)
            {
                // Expected: the link is away again, or the host has no room now.
                if (_stopping.Wait(pause))
                {
                    return null;
                }

                pause = pause * 2 < LongestPause ? pause * 2 : LongestPause;
            }
            finally
            {
                if (!resumed)
                {
                    connection?.Dispose();
                }
            }
        }

        return null;
    }
}
