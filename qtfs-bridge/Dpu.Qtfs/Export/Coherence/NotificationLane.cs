using Dpu.Link;

namespace Dpu.Qtfs.Export.Coherence;

/// <summary>The connection by which a mount's notifications go to the DPU, served on the thread it came with.</summary>
internal sealed class NotificationLane(LinkConnection connection, MountChanges changes)
{
    private const int BatchSize = 64 * 1024;
    private static readonly TimeSpan Look = TimeSpan.FromSeconds(1);

    /// <summary>Sends until the peer closes, the mount ends, or a newer lane takes its place.</summary>
    /// <exception cref="IOException">The connection broke.</exception>
    public void Serve(CancellationToken stopping)
    {
        // A peer that does not read is cut: its cache is then of no use, and it knows.
        connection.SetTimeouts(TimeSpan.Zero, TimeSpan.FromSeconds(10));
        byte[] batch = new byte[BatchSize];
        try
        {
            _ = changes.Attach(this);
            while (!stopping.IsCancellationRequested)
            {
                int size = changes.Take(this, batch, Look);
                if (size < 0 || (size == 0 && IsClosed()))
                {
                    return;
                }

                if (size > 0)
                {
                    connection.Stream.Write(batch, 0, size);
                    connection.Stream.Flush();
                }
            }
        }
        finally
        {
            changes.Detach(this);
        }
    }

    // The DPU sends nothing on such a connection: whatever can be read is its end.
    private bool IsClosed()
    {
        try
        {
            return connection.Socket.Poll(TimeSpan.Zero, System.Net.Sockets.SelectMode.SelectRead);
        }
        catch (Exception e) when (e is System.Net.Sockets.SocketException or ObjectDisposedException)
        {
            // Expected where the connection was cut.
            return true;
        }
    }
}
