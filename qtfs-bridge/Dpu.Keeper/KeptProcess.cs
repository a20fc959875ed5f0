namespace Dpu.Keeper;

/// <summary>How a process is whose parent the keeper is. Immutable.</summary>
/// <param name="Number">Its number in the keeper's pid namespace.</param>
/// <param name="Ended">Whether it has ended.</param>
/// <param name="Status">What wait(2) said of it last: of its end, or of its stop; 0 while it runs.</param>
public sealed record KeptProcess(int Number, bool Ended, int Status)
{
    /// <summary>The signal that has stopped it; 0 where it is not stopped.</summary>
    public int StoppedBy => !Ended && (Status & 0xff) == 0x7f ? (Status >> 8) & 0xff : 0;

    /// <summary>With what it has exited; null where it runs, or was ended by a signal.</summary>
    public int? ExitCode => Ended && (Status & 0x7f) == 0 ? (Status >> 8) & 0xff : null;

    /// <summary>The signal that has ended it; 0 where none has.</summary>
    public int EndedBy => Ended ? Status & 0x7f : 0;

    /// <summary>Whether its end left a core dump.</summary>
    public bool DumpedCore => EndedBy != 0 && (Status & 0x80) != 0;

    /// <summary>Reads what keeper.h calls the size of a process.</summary>
    internal static KeptProcess Of(ulong size) => new((int)(uint)size, (size & keeper.KEEPER_ENDED) != 0, (int)(size >> 32) & 0x3fff_ffff);
}
