namespace Dpu.Relay;

/// <summary>What a relay has on this machine.</summary>
public enum LocalEnd
{
    /// <summary>A connected unix socket.</summary>
    Socket = 0,

    /// <summary>The end of a pipe that is read; nothing goes back.</summary>
    FileToRead,

    /// <summary>The end of a pipe that is written; nothing comes back.</summary>
    FileToWrite,
}
