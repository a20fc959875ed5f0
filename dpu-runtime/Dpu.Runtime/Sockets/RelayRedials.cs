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
        _threads.Run(() => Run(host, lost, since));
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _stopping.Set();
        _threads.Dispose();
    }

    private void Run(string host, LostRelay lost, long since)
    {
        TimeSpan pause = FirstPause;
        while (!lost.IsOver && lost.Within - Stopwatch.GetElapsedTime(since) is { Ticks: > 0 } left)
        {
            if (hosts.Find(host) is not { } link)
            {
                break;
            }

            if (!link.WaitUp(left < LongestPause ? left : LongestPause))
            {
                continue;
            }

            try
            {
                LinkConnection connection = link.DialRelay(new RelayParameters
                {
                    Resumed = new ResumedRelay { Token = ByteString.CopyFrom(lost.Token.ToByteArray()), Received = lost.Received },
                });
                if (TryResume(lost, connection))
                {
                    return;
                }

                break;
            }
            catch (LinkException e) when (e.Status is HelloStatus.NotPermitted or HelloStatus.Malformed or HelloStatus.ServiceUnknown or HelloStatus.SessionInvalid)
            {
                // It has ended there, or the agent has restarted.
                break;
            }
            catch (Exception e) when (e is LinkException or IOException or ObjectDisposedException or OperationCanceledException)
            {
                // Expected: the link is away again, or the host has no room now.
                if (_stopping.Wait(pause))
                {
                    break;
                }

                pause = pause * 2 < LongestPause ? pause * 2 : LongestPause;
            }
        }

        lost.GiveUp();
    }

    private static bool TryResume(LostRelay lost, LinkConnection connection)
    {
        bool resumed = false;
        try
        {
            resumed = RelayDialer.AwaitResumed(connection, out ulong received);
            if (resumed)
            {
                lost.Resume(connection, received);
            }

            return resumed;
        }
        finally
        {
            if (!resumed)
            {
                connection.Dispose();
            }
        }
    }
}
