using System.Globalization;
using System.Runtime.CompilerServices;
using System.Text;
using Dpu.Flows.Text;
using Dpu.Reconciler.Records;

namespace Dpu.Reconciler.Targets;

/// <summary>
/// Reads flows from a stream of lines: dumps of <c>ovs-ofctl</c> and <c>dpctl</c>, or JSON, each line in its own form. Holds the
/// flows and one buffer, never the text. One thread at a time.
/// </summary>
public sealed class FlowFileReader
{
    private const int BufferSize = 1 << 18;
    private const int ReportLines = 100_000;
    private readonly FlowTextReader _reader;
    private readonly OpenFlowLine _openFlow;
    private readonly DatapathLine _dataPath;
    private readonly Dictionary<ulong, UInt128>? _ufids;
    private readonly List<string> _problems = [];

    /// <summary>For one dump.</summary>
    /// <param name="portOf">The number of a port's name; null where names are not known.</param>
    /// <param name="named">Flows have handles by their ufids, which <see cref="Ufids"/> tells.</param>
    public FlowFileReader(Func<string, uint?>? portOf = null, bool named = false)
    {
        UfidSet ufids = new();
        _reader = new FlowTextReader(FlowTextForm.Any, portOf, ufids);
        _openFlow = new OpenFlowLine(Flows);
        _dataPath = new DatapathLine(Flows, ufids, portOf, named);
        _ufids = named ? [] : null;
    }

    /// <summary>The flows that were read.</summary>
    public FlowSet Flows { get; } = new();

    /// <summary>Ufids by the handles of flows, where these are named.</summary>
    public IReadOnlyDictionary<ulong, UInt128> Ufids => _ufids ?? throw new InvalidOperationException("the flows of this reader have no handles");

    /// <summary>Lines that were read.</summary>
    public long Lines { get; private set; }

    /// <summary>Lines that are no flow, or one that cannot be kept as it is.</summary>
    public long Unreadable { get; private set; }

    /// <summary>The first of them: "line N: why".</summary>
    public IReadOnlyList<string> Problems => _problems;

    /// <summary>Reads to the end.</summary>
    /// <param name="stream">The text.</param>
    /// <param name="progress">Called with the number of lines, each 100,000; null for nobody.</param>
    /// <param name="cancellation">Ends it.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void Read(Stream stream, Action<long>? progress = null, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(stream);
        byte[] buffer = new byte[BufferSize];
        int begin = 0, end = 0;
        bool skipping = false;
        while (true)
        {
            cancellation.ThrowIfCancellationRequested();
            int got = stream.Read(buffer, end, buffer.Length - end);
            end += got;
            while (buffer.AsSpan(begin, end - begin).IndexOf((byte)'\n') is >= 0 and int length)
            {
                Line(skipping ? default : buffer.AsSpan(begin, length), progress);
                skipping = false;
                begin += length + 1;
            }

            if (got == 0)
            {
                if (end > begin && !skipping)
                {
                    Line(buffer.AsSpan(begin, end - begin), progress);
                }

                return;
            }

            if (begin == 0 && end == buffer.Length)
            {
                // Longer than any line may be: said once, and passed over to its end.
                if (!skipping)
                {
                    Problem(Lines + 1, $"the line is longer than {FlowTextReader.MaxLine} characters");
                }

                skipping = true;
                begin = end;
            }

            buffer.AsSpan(begin, end - begin).CopyTo(buffer);
            (begin, end) = (0, end - begin);
        }
    }

    /// <summary>Reads one line, without its line feed.</summary>
    public void ReadLine(string line)
    {
        ArgumentNullException.ThrowIfNull(line);
        Line(Encoding.UTF8.GetBytes(line), null);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void Line(ReadOnlySpan<byte> line, Action<long>? progress)
    {
        if (++Lines % ReportLines == 0)
        {
            progress?.Invoke(Lines);
        }

        if (line.Length > 0 && line[^1] == '\r')
        {
            line = line[..^1];
        }

        if (line.IsEmpty)
        {
            return;
        }

        try
        {
            if (DatapathLine.Looks(line) ? TryDataPath(line) : _openFlow.TryAdd(line))
            {
                return;
            }

            if (_reader.Read(Encoding.UTF8.GetString(line)) is { } flow)
            {
                OffloadState offload = flow.Offloaded switch
                {
                    "yes" => OffloadState.Yes,
                    "partial" => OffloadState.Partial,
                    _ => flow.Ufid is null ? OffloadState.Unknown : OffloadState.No,
                };
                ulong handle = _ufids is not null && Ufid.TryParse(flow.Ufid, out UInt128 ufid) ? Named(ufid) : 0;
                _ = Flows.Add(flow.Definition, new FlowFacts(handle, flow.Packets, flow.Bytes, offload, flow.Ufid));
            }
        }
        catch (FlowTextException e)
        {
            // Expected: the caller decides what an unreadable line means.
            Problem(Lines, e.Message);
        }
    }

    private bool TryDataPath(ReadOnlySpan<byte> line)
    {
        LineResult result = _dataPath.TryAdd(line, out UInt128 ufid);
        if (result == LineResult.Added && _ufids is not null && ufid != 0)
        {
            _ = Named(ufid);
        }

        return result != LineResult.Unknown;
    }

    // Two ufids of one hash: whoever asks for the handle finds the first, and sees that it is another flow.
    private ulong Named(UInt128 ufid)
    {
        ulong handle = RecordHash.OfUfid(ufid);
        _ = _ufids!.TryAdd(handle, ufid);
        return handle;
    }

    private void Problem(long line, string why)
    {
        if (Unreadable++ < 10)
        {
            _problems.Add(string.Create(CultureInfo.InvariantCulture, $"line {line}: {why}"));
        }
    }
}
