using Dpu.Qtfs.Mount.Held;

namespace Dpu.Qtfs.Mount;

// A host that has lost the mount: it was rebooted, its agent was restarted without a keeper, or it has waited for longer than its grace time.
public sealed partial class RemoteMount
{
    // Who waits here is looked at between, whether its caller is being killed.
    private static readonly TimeSpan TurnLimit = TimeSpan.FromSeconds(1);
    private readonly Lock _restoring = new();

    /// <summary>What the kernel has of the host.</summary>
    internal HeldFiles Held { get; }

    /// <summary>In which life the host has it.</summary>
    internal unsafe ulong HostState => Volatile.Read(ref *State.HostState);

    /// <summary>
    /// Makes a new connection one to a host that knows the mount as the kernel does, before any other request on it; one lane at a time, so that no
    /// request comes to a host that has not been told all.
    /// </summary>
    /// <exception cref="IOException">The connection broke, or another lane takes long.</exception>
    /// <exception cref="FuseChannelException">The host cannot go on with the mount.</exception>
    internal unsafe void Restore(LaneConnection connection)
    {
        if (!_restoring.TryEnter(TurnLimit))
        {
            throw new IOException("another lane tells the host what is open");
        }

        try
        {
            InitExchange.Restore(connection);
            ulong state = connection.State;
            ulong known = HostState;
            if (state == 0 || state == known)
            {
                return;
            }

            if (known == 0)
            {
                Held.Begin(state);
            }
            else
            {
                Return(connection, state);
            }

            Volatile.Write(ref *State.HostState, state);
        }
        finally
        {
            _restoring.Exit();
        }
    }

    private unsafe void Return(LaneConnection connection, ulong state)
    {
        connection.Link.SetTimeouts(InitExchange.RestoreLimit, InitExchange.RestoreLimit);
        try
        {
            Told(new HostReturn(Held, connection).Run());
        }
        catch (FuseChannelException)
        {
            // It will not take it the next time either: the mount goes on without.
            Told(Held.NoteAll(state));
            Volatile.Write(ref *State.HostState, state);
            throw;
        }

        connection.Link.SetTimeouts(TimeSpan.Zero, TimeSpan.Zero);
    }

    private void Told(in ReturnOutcome outcome)
    {
        Counters.CountReturn(outcome);
        Log.HostReturned(_logger, Options.Target, Options.Host, outcome.Nodes, outcome.Files);
        if (outcome.Stale + outcome.Unlocked > 0)
        {
            Log.FilesLost(_logger, Options.Target, Options.Host, outcome.Stale, outcome.Unlocked);
        }
    }
}
