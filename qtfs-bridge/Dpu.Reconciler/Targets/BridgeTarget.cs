using System.Diagnostics;
using System.Globalization;
using Dpu.Flows.Table;
using Dpu.Flows.Text;

namespace Dpu.Reconciler.Targets;

/// <summary>
/// The OpenFlow tables of an Open vSwitch bridge, by <c>ovs-ofctl</c>: read as a dump, changed in bundles, of which each comes
/// into force as a whole or not at all. Flows are named by their keys.
/// </summary>
/// <param name="bridge">The bridge's name, or what else ovs-ofctl(8) takes as a switch, such as unix:PATH.</param>
/// <param name="program">The program.</param>
public sealed class BridgeTarget(string bridge, string program = "ovs-ofctl") : IFlowTarget
{
    private static readonly TimeSpan _limit = TimeSpan.FromMinutes(5);
    private readonly Dictionary<string, string> _refusals = new(StringComparer.Ordinal);

    /// <inheritdoc/>
    public string Name => $"bridge:{bridge}";

    /// <inheritdoc/>
    public TargetTraits Traits { get; } = new(Writable: true, UniqueKeys: true, Cookies: true, Timeouts: true, Capacity: null);

    /// <inheritdoc/>
    public TargetDump Read(CancellationToken cancellation = default)
    {
        FlowFileReader reader = new();
        Run(["-O", "OpenFlow14", "--no-names", "dump-flows", bridge], null, output => reader.Read(output, null, cancellation), cancellation);
        return reader.Unreadable == 0
            ? new TargetDump(reader.Flows)
            : throw new TargetException(string.Create(CultureInfo.InvariantCulture, $"{Name}: {reader.Unreadable} flows cannot be kept as they are, the first: {reader.Problems[0]}"));
    }

    /// <inheritdoc/>
    public IReadOnlyList<ChangeResult> Apply(IReadOnlyList<TargetChange> changes, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(changes);
        ChangeResult[] results = new ChangeResult[changes.Count];
        List<int> sent = [];
        for (int i = 0; i < results.Length; i++)
        {
            bool hasRange = changes[i].Flow is { } flow && flow.Match.Canonical().HasRange;
            results[i] = new ChangeResult(hasRange ? ChangeStatus.Refused : ChangeStatus.Done, 0, hasRange ? "Open vSwitch has no ranges of ports" : "");
            if (!hasRange)
            {
                sent.Add(i);
            }
        }

        if (TrySend(changes, sent, cancellation, out _))
        {
            sent.ForEach(i => Remember(changes[i], null));
            return results;
        }

        // The bundle was refused as a whole: one by one shows which of them cannot be.
        foreach (int i in sent)
        {
            bool taken = TrySend(changes, [i], cancellation, out string why);
            results[i] = taken ? new ChangeResult(ChangeStatus.Done) : new ChangeResult(ChangeStatus.Refused, 0, why);
            Remember(changes[i], taken ? null : why);
        }

        return results;
    }

    /// <inheritdoc/>
    public (ulong Packets, ulong Bytes)? Find(ulong handle) => (0, 0);

    /// <inheritdoc/>
    public string? RefusalOf(FlowDefinition flow) => _refusals.Count == 0 ? null : _refusals.GetValueOrDefault(KeyOf(flow));

    private static string KeyOf(FlowDefinition flow) => string.Create(CultureInfo.InvariantCulture, $"table={flow.Table},priority={flow.Priority},{MatchText.Format(flow.Match)}");

    // Changed actions alone leave the counters; ovs-ofctl's "add" to a flow that is there begins them anew.
    private static string Line(TargetChange change) => change switch
    {
        { Flow: null } => $"delete_strict {KeyOf(change.Definition!)}",
        { Definition: { } old, Flow: { } flow } when old.Cookie == flow.Cookie && old.IdleTimeout == flow.IdleTimeout && old.HardTimeout == flow.HardTimeout
            => $"modify_strict {KeyOf(flow)},actions={ActionText.Format(flow.Actions)}",
        _ => $"add {OpenFlowText.Format(change.Flow!)}",
    };

    private void Remember(TargetChange change, string? refusal)
    {
        if (_refusals.Count >= TargetTraits.MaxRefusals)
        {
            _refusals.Clear();
        }

        if (change.Flow is { } flow)
        {
            _ = refusal is null ? _refusals.Remove(KeyOf(flow)) : (_refusals[KeyOf(flow)] = refusal) is null;
        }
    }

    private bool TrySend(IReadOnlyList<TargetChange> changes, List<int> chosen, CancellationToken cancellation, out string why)
    {
        why = "";
        if (chosen.Count == 0)
        {
            return true;
        }

        string bundle = string.Concat(chosen.Select(i => Line(changes[i]) + "\n"));
        try
        {
            Run(["-O", "OpenFlow14", "--bundle", "add-flows", bridge, "-"], bundle, output => output.CopyTo(Stream.Null), cancellation);
            return true;
        }
        catch (TargetException e) when (e.Data.Contains(nameof(program)))
        {
            // Expected: the switch refused it; a switch that is away fails the next dump.
            why = e.Message;
            return false;
        }
    }

    private void Run(string[] arguments, string? input, Action<Stream> read, CancellationToken cancellation)
    {
        ProcessStartInfo start = new(program, arguments) { RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true };
        using Process process = Start(start);
        using Timer limit = new(_ => Kill(process), null, _limit, Timeout.InfiniteTimeSpan);
        using CancellationTokenRegistration cancelled = cancellation.Register(() => Kill(process));
        Task<string> error = process.StandardError.ReadToEndAsync(CancellationToken.None);
        try
        {
            process.StandardInput.Write(input);
            process.StandardInput.Close();
        }
        catch (IOException)
        {
            // Expected: it ended before it read all; its exit status says more.
        }

        read(process.StandardOutput.BaseStream);
        process.WaitForExit();
        cancellation.ThrowIfCancellationRequested();
        if (process.ExitCode != 0)
        {
            string said = error.GetAwaiter().GetResult().Trim();
            TargetException failure = new($"{program} {string.Join(' ', arguments)} failed: {(said.Length == 0 ? string.Create(CultureInfo.InvariantCulture, $"exit status {process.ExitCode}") : said)}");
            failure.Data.Add(nameof(program), program);
            throw failure;
        }
    }

    private Process Start(ProcessStartInfo start)
    {
        try
        {
            return Process.Start(start)!;
        }
        catch (System.ComponentModel.Win32Exception e)
        {
            throw new TargetException($"cannot run {program}, which comes with the package openvswitch-common: {e.Message}", e);
        }
    }

    private static void Kill(Process process)
    {
        try
        {
            process.Kill();
        }
        catch (InvalidOperationException)
        {
            // Expected: it has ended.
        }
    }
}
