namespace Dpu.Relay.Processes;

// How a stream stands, for an end that knows nothing of it.
internal sealed unsafe partial class ProcessStream
{
    /// <summary>How it stands, without a connection.</summary>
    public HeldStream Held => new(
        Number,
        (Sends ? HeldStreamState.Sends : 0) | (IsTerminal ? HeldStreamState.Terminal : 0) | ((State & ProcessStreamState.AtEnd) != 0 ? HeldStreamState.AtEnd : 0) | (IsOver ? HeldStreamState.Over : 0),
        Sends ? Pipe.First : Pipe.End);
}
