namespace Dpu.Flows.Text;

/// <summary>The form that flows are written in.</summary>
public enum FlowTextForm
{
    /// <summary>Found out line by line.</summary>
    Any,

    /// <summary><c>ovs-ofctl dump-flows</c>.</summary>
    OpenFlow,

    /// <summary><c>dpctl/dump-flows</c>.</summary>
    DataPath,

    /// <summary>An object a line.</summary>
    Json,
}

/// <summary>
/// Reads flows line by line, in whatever form each line has. Headers, comments and empty lines are passed over; a data-path
/// flow that repeats with the same ufid, as it does for each PMD, comes once. Holds one line at a time, and the ufids.
/// </summary>
/// <param name="form">The form of all lines; <see cref="FlowTextForm.Any"/> where they may differ.</param>
/// <param name="portOf">The number of a port's name; null where names are not known.</param>
/// <param name="ufids">Those that came already, where others read lines of the same dump; null for a set of its own.</param>
public sealed class FlowTextReader(FlowTextForm form = FlowTextForm.Any, Func<string, uint?>? portOf = null, UfidSet? ufids = null)
{
    /// <summary>Characters of a line; a longer one is an error.</summary>
    public const int MaxLine = 1 << 16;

    private static readonly string[] _headers = ["NXST_FLOW", "OFPST_FLOW", "flow-dump from"];
    private readonly DatapathText _dataPath = new(portOf);
    private readonly UfidSet _ufids = ufids ?? new UfidSet();

    /// <summary>Flows that came again under the same ufid.</summary>
    public long Repeated { get; private set; }

    /// <summary>Reads a line; null where it has no flow, or one that came already.</summary>
    /// <exception cref="FlowTextException">It is none of both.</exception>
    public ParsedFlow? Read(string line)
    {
        ArgumentNullException.ThrowIfNull(line);
        if (line.Length > MaxLine)
        {
            throw new FlowTextException($"the line has {line.Length} characters; at most {MaxLine}");
        }

        line = line.Trim();
        if (line.Length == 0 || line[0] == '#' || _headers.Any(header => line.StartsWith(header, StringComparison.Ordinal)))
        {
            return null;
        }

        FlowTextForm found = form != FlowTextForm.Any ? form : line[0] == '{' ? FlowTextForm.Json : DatapathText.Looks(line) ? FlowTextForm.DataPath : FlowTextForm.OpenFlow;
        ParsedFlow flow = found switch
        {
            FlowTextForm.Json => FlowJson.Parse(line),
            FlowTextForm.DataPath => _dataPath.Parse(line),
            _ => OpenFlowText.Parse(line),
        };
        if (flow.Ufid is not null && !_ufids.Add(flow.Ufid))
        {
            Repeated++;
            return null;
        }

        return flow;
    }
}
