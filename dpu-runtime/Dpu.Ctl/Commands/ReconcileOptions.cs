using System.CommandLine;
using System.Globalization;
using Dpu.Hosting;
using Dpu.Reconciler.Diff;
using Dpu.Reconciler.Repair;
using Dpu.Reconciler.Targets;
using Dpu.Reconciler.TrafficControl;

namespace Dpu.Ctl.Commands;

/// <summary>The options of <c>dpuctl reconcile</c>, and what they mean.</summary>
internal sealed class ReconcileOptions
{
    public const string Kinds = "a FILE with a dump (- for standard input), runtime, bridge:NAME, datapath:SOCKET, tc:DEV, or emulated:CAPACITY";
    private readonly Option<string?> _desired = new("--desired") { Description = $"What should be: {Kinds}", HelpName = "TARGET" };
    private readonly Option<string?> _owner = new("--owner") { Description = "Only flows whose cookie has these bits are ours, as 0x10/0xf0; others are foreign", HelpName = "COOKIE/MASK" };
    private readonly Option<bool> _offload = new("--expect-offload") { Description = "A flow that is not in hardware is a difference" };
    private readonly Option<bool> _skip = new("--skip-unreadable") { Description = "Leave out lines that cannot be read, and count them" };
    private readonly Option<int?> _full = Number("--tc-full-every", "Read filters of tc whole each N times, and else only what came and went [default: 1]", 1);
    private readonly Option<int?> _confirm = Number("--confirm", "Dumps in which a difference must be before it counts [default: 1 where both sides are files, else 2]", 1);

    private readonly Option<DurationValue?> _counters = Durations.Optional("--counter-delay", "Counters that stand still while packets pass are differences; the actual side tells them so late at most. With --watch");

    public Option<string[]> Ports { get; } = new("--tc-port") { Description = "A port's number and its interface, for tc; without any a port's number is its interface's; may be repeated", HelpName = "N=DEV" };

    public Option<string?> Actual { get; } = new("--actual") { Description = $"What is: {Kinds}", HelpName = "TARGET" };

    public Option<bool> AllowGap { get; } = new("--allow-gap") { Description = "Repair also where the table is so full that forwarding has a hole meanwhile" };

    public Option<bool> Force { get; } = new("--force") { Description = "Repair also where so much differs that the sides may be the wrong ones" };

    public Option<int?> MaxDeletes { get; } = Number("--max-deletes", "Delete at most so many flows in a pass", 0);

    public void AddTo(Command command, bool forPlanOnly)
    {
        foreach (Option option in (IEnumerable<Option>)[_desired, Actual, _owner, _offload, _skip, _confirm, Ports, _full])
        {
            command.Add(option);
        }

        foreach (Option option in forPlanOnly ? (IEnumerable<Option>)[MaxDeletes] : [AllowGap, Force, MaxDeletes, _counters])
        {
            command.Add(option);
        }
    }

    public FlowReconciler Reconciler(CtlContext context) =>
        new(Target(context, _desired), Target(context, Actual), Of(context));

    /// <summary>The target that an option names.</summary>
    public IFlowTarget Target(CtlContext context, Option<string?> option)
    {
        string name = context.Parsed.GetValue(option) ?? throw new CtlException(ExitCodes.Failure, $"give {option.Name}: {Kinds}");
        bool skip = context.Parsed.CommandResult.Command.Options.Contains(_skip) && context.Parsed.GetValue(_skip);
        Action<long>? progress = context.Quiet ? null : lines => context.Error.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{name}: {lines} lines read"));
        return name switch
        {
            "runtime" => new RuntimeFlowTarget(context.Connection),
            "-" => new FileTarget("standard input", skip, Console.OpenStandardInput, progress),
            _ when name.StartsWith("bridge:", StringComparison.Ordinal) => new BridgeTarget(name["bridge:".Length..]),
            _ when name.StartsWith("tc:", StringComparison.Ordinal) => TrafficControl(context, name["tc:".Length..]),
            _ when name.StartsWith("emulated:", StringComparison.Ordinal) => EmulatedTarget.TryParse(name["emulated:".Length..], out Func<EmulatedTarget>? make, out string? problem) ? make()
                : throw new CtlException(ExitCodes.Failure, $"'{name}' is no emulated NIC: {problem}; allowed is emulated:{EmulatedTarget.Syntax}"),
            _ when name.StartsWith("datapath:", StringComparison.Ordinal) => new DataPathTarget(name["datapath:".Length..], null, skip, progress),
            _ => new FileTarget(name, skip, null, progress),
        };
    }

    private TcTarget TrafficControl(CtlContext context, string text)
    {
        IList<Option> known = context.Parsed.CommandResult.Command.Options;
        Dictionary<uint, string> devices = [];
        foreach (string port in (known.Contains(Ports) ? context.Parsed.GetValue(Ports) : null) ?? [])
        {
            string[] parts = port.Split('=', 2);
            if (parts.Length != 2 || parts[1].Length == 0 || !uint.TryParse(parts[0], NumberStyles.None, CultureInfo.InvariantCulture, out uint number)
                || !devices.TryAdd(number, parts[1]) || devices.Values.Count(d => d == parts[1]) > 1)
            {
                throw new CtlException(ExitCodes.Failure, $"--tc-port '{port}' is no port and interface, each once; allowed is such as 1=eth0");
            }
        }

        return TcPlace.TryParse(text, out TcPlace? place)
            ? new TcTarget(place, devices.Count > 0 ? devices : null, (known.Contains(_full) ? context.Parsed.GetValue(_full) : null) ?? 1)
            : throw new CtlException(ExitCodes.Failure, $"'tc:{text}' is no place of filters; allowed is tc:{TcPlace.Syntax}");
    }

    private ReconcilerOptions Of(CtlContext context)
    {
        System.CommandLine.ParseResult parsed = context.Parsed;
        bool files = IsFile(parsed.GetValue(_desired)) && IsFile(parsed.GetValue(Actual));
        IList<Option> known = parsed.CommandResult.Command.Options;
        return new ReconcilerOptions
        {
            Owner = Owner(parsed.GetValue(_owner)),
            ExpectOffload = parsed.GetValue(_offload),
            CounterDelay = known.Contains(_counters) ? parsed.GetValue(_counters)?.Span : null,
            Confirmations = parsed.GetValue(_confirm) ?? (files ? 1 : 2),
            AllowGap = known.Contains(AllowGap) && parsed.GetValue(AllowGap),
            Force = known.Contains(Force) && parsed.GetValue(Force),
            MaxDeletes = parsed.GetValue(MaxDeletes) ?? int.MaxValue,
        };
    }

    private static Option<int?> Number(string name, string description, int least) => new(name)
    {
        Description = description,
        HelpName = "N",
        CustomParser = result =>
        {
            string text = string.Join(' ', result.Tokens.Select(t => t.Value));
            if (int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int number) && number >= least)
            {
                return number;
            }

            result.AddError(string.Create(CultureInfo.InvariantCulture, $"{name} '{text}' is no number from {least} on"));
            return null;
        },
    };

    private static bool IsFile(string? target) =>
        target is not null and not "runtime" && !((string[])["bridge:", "datapath:", "tc:", "emulated:"]).Any(kind => target.StartsWith(kind, StringComparison.Ordinal));

    private static OwnerFilter Owner(string? text)
    {
        if (text is null)
        {
            return OwnerFilter.Everyone;
        }

        string[] parts = text.Split('/');
        return parts.Length <= 2 && TryNumber(parts[0], out ulong cookie) && TryNumber(parts.Length == 2 ? parts[1] : "0xffffffffffffffff", out ulong mask)
            ? new OwnerFilter(cookie & mask, mask)
            : throw new CtlException(ExitCodes.Failure, $"--owner '{text}' is no cookie and mask; allowed is such as 0x10/0xf0");
    }

    private static bool TryNumber(string text, out ulong number) => text.StartsWith("0x", StringComparison.OrdinalIgnoreCase)
        ? ulong.TryParse(text.AsSpan(2), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out number)
        : ulong.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out number);
}
