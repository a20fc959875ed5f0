using Dpu.Proto.V1;

namespace Dpu.Ctl.Output;

/// <summary>States and severities as words: stable, also in JSON.</summary>
internal static class States
{
    public static string Word(LinkState state) => state switch
    {
        LinkState.Connecting => "connecting",
        LinkState.Up => "up",
        LinkState.Down => "down",
        _ => "unknown",
    };

    public static string Word(MountState state) => state switch
    {
        MountState.Waiting => "waiting",
        MountState.Mounted => "mounted",
        MountState.Disconnected => "disconnected",
        MountState.Failed => "failed",
        _ => "unknown",
    };

    public static string Word(Severity severity) => severity switch
    {
        Severity.Info => "info",
        Severity.Warning => "warning",
        Severity.Error => "error",
        _ => "unknown",
    };

    public static Cell Cell(LinkState state) => new(Word(state), state switch
    {
        LinkState.Up => CellStyle.Good,
        LinkState.Connecting => CellStyle.Doubtful,
        _ => CellStyle.Bad,
    });

    public static Cell Cell(MountState state) => new(Word(state), state switch
    {
        MountState.Mounted => CellStyle.Good,
        MountState.Waiting => CellStyle.Doubtful,
        _ => CellStyle.Bad,
    });

    /// <summary>The part after the last slash of a resource name.</summary>
    public static string Id(string name) => name[(name.LastIndexOf('/') + 1)..];
}
