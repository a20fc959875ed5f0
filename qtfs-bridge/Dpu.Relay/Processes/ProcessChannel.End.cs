using Dpu.Relay.Flow;

namespace Dpu.Relay.Processes;

public sealed unsafe partial class ProcessChannel
{
    /// <summary>As <see cref="Dispose"/>, and then does something, on the loop's thread: by then nothing of the channel uses the process's memory.</summary>
    public void End(Action after) => End(connection =>
    {
        connection?.Dispose();
        after();
    });

    /// <summary>As above; what is done gets the connection, which is its own then, if nothing of this process is on its way there any more; else null.</summary>
    public void End(Action<ExecConnection?> after) => _loop.Post(() =>
    {
        ExecConnection? connection = TakeConnection();
        if (!_left && _entered)
        {
            _loop.Remove(this, _slot);
        }
        else if (!_left)
        {
            // It has not begun.
            ((ILoopSource)this).Leave();
        }

        after(connection);
    });

    private ExecConnection? TakeConnection()
    {
        if (_left || _link is null || _connection is not { } connection || !_hasParted || !_linkWritable || _link.IsFull || _out.Length > 0 || _in.Length > 0 || _dataLeft > 0)
        {
            return null;
        }

        _loop.Unwatch(_link.Descriptor);
        (_link, _connection, _hasParted) = (null, null, false);
        return connection;
    }
}
