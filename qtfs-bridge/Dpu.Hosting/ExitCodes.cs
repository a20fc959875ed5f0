namespace Dpu.Hosting;

/// <summary>Exit codes of all our programs; dpuctl(1) documents them.</summary>
public static class ExitCodes
{
    /// <summary>Done.</summary>
    public const int Success = 0;

    /// <summary>Failed, for a reason that no other code names.</summary>
    public const int Failure = 1;

    /// <summary>The command line or the configuration is wrong.</summary>
    public const int Usage = 2;

    /// <summary>The daemon, or the host, is not reachable.</summary>
    public const int Unreachable = 3;

    /// <summary>What was named does not exist.</summary>
    public const int NotFound = 4;

    /// <summary>Refused: no permission, or not in this state.</summary>
    public const int Refused = 5;

    /// <summary>Took too long; the number that timeout(1) uses.</summary>
    public const int Timeout = 124;
}
