using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using Dpu.Flows.Nic;
using Dpu.Flows.Table;
using Dpu.Reconciler.Records;

namespace Dpu.Reconciler.Targets;

/// <summary>A target that knows how many packets passed by its flows, from something else than the flows' own counters.</summary>
public interface IPacketSignal
{
    /// <summary>Packets that passed by a flow until the last dump; null where nothing counted them.</summary>
    ulong? PassedOf(ulong handle);
}

/// <summary>
/// An emulated NIC's table by name, empty at first, with faults and with packets that hit each of its entries between two dumps: to try out what a
/// reconciler does. It lives as long as this object.
/// </summary>
public sealed class EmulatedTarget : IFlowTarget, IPacketSignal
{
    /// <summary>The form of <see cref="TryParse"/>, for people.</summary>
    public const string Syntax = "CAPACITY[,seed=N][,traffic=PACKETS][,lag=MILLISECONDS][,FAULT=CHANCE]..., where FAULT is lost-insert, lost-delete, corrupt-action, corrupt-mask, duplicate, stuck-counter, falsely-full or interrupted-dump, and CHANCE 0 to 1";

    // As many as a NIC of ours was measured with.
    private const int MaxCapacity = 16_000_000;
    private readonly EmulatedNic _nic;
    private readonly NicTarget _target;
    private readonly int _traffic;
    private Dictionary<ulong, ulong> _passed = [];
    private Dictionary<ulong, ulong> _told = [];

    private EmulatedTarget(string name, int capacity, int traffic, NicFaults faults)
    {
        _nic = new EmulatedNic(capacity, faults);
        _target = new NicTarget(_nic, name);
        _traffic = traffic;
    }

    /// <inheritdoc/>
    public string Name => _target.Name;

    /// <inheritdoc/>
    public TargetTraits Traits => _target.Traits;

    /// <summary>Reads the text form, without making a table.</summary>
    /// <param name="text">What stands behind "emulated:".</param>
    /// <param name="make">Makes it.</param>
    /// <param name="problem">What is wrong with the text.</param>
    public static bool TryParse(string text, [NotNullWhen(true)] out Func<EmulatedTarget>? make, [NotNullWhen(false)] out string? problem)
    {
        ArgumentNullException.ThrowIfNull(text);
        make = null;
        string[] parts = text.Split(',');
        if (!TryNumber(parts[0], 1, MaxCapacity, out int capacity))
        {
            problem = $"'{parts[0]}' is no number of entries from 1 to {MaxCapacity}";
            return false;
        }

        NicFaults faults = NicFaults.None;
        int traffic = 0;
        foreach (string[] pair in parts.Skip(1).Select(part => part.Split('=', 2)))
        {
            string value = pair.Length == 2 ? pair[1] : "";
            NicFaults? changed = pair[0] switch
            {
                "seed" => TryNumber(value, 0, int.MaxValue, out int seed) ? faults with { Seed = seed } : null,
                "traffic" => TryNumber(value, 0, 1_000_000, out traffic) ? faults : null,
                "lag" => TryNumber(value, 0, 3_600_000, out int lag) ? faults with { CounterLag = TimeSpan.FromMilliseconds(lag) } : null,
                _ => double.TryParse(value, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out double chance) && chance <= 1 ? With(faults, pair[0], chance) : null,
            };
            if (changed is null)
            {
                problem = $"'{string.Join('=', pair)}' is none of its settings";
                return false;
            }

            faults = changed;
        }

        NicFaults wrong = faults;
        int packets = traffic;

        problem = null;
        make = () => new EmulatedTarget($"emulated:{text}", capacity, packets, wrong);
        return true;
    }

    /// <inheritdoc/>
    public TargetDump Read(CancellationToken cancellation = default)
    {
        TargetDump dump = _target.Read(cancellation);

        // What the dump shows was counted of what had passed by then. What passes from here on the next one shows.
        _told = _passed;
        if (_traffic > 0)
        {
            Dictionary<ulong, ulong> passed = [];
            for (int i = 0; i < dump.Flows.Count; i++)
            {
                ulong handle = dump.Flows.HandleOf(i);
                _nic.Touch(new NicHandle(handle), _traffic, _traffic * 64);
                passed[handle] = _told.GetValueOrDefault(handle) + (ulong)_traffic;
            }

            _passed = passed;
        }

        return dump;
    }

    /// <inheritdoc/>
    public IReadOnlyList<ChangeResult> Apply(IReadOnlyList<TargetChange> changes, CancellationToken cancellation = default) => _target.Apply(changes, cancellation);

    /// <inheritdoc/>
    public (ulong Packets, ulong Bytes)? Find(ulong handle) => _target.Find(handle);

    /// <inheritdoc/>
    public string? RefusalOf(FlowDefinition flow) => _target.RefusalOf(flow);

    /// <inheritdoc/>
    public ulong? PassedOf(ulong handle) => _traffic == 0 ? null : _told.GetValueOrDefault(handle);

    private static bool TryNumber(string text, int least, int most, out int number) =>
        int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out number) && number >= least && number <= most;

    private static NicFaults? With(NicFaults faults, string name, double chance) => name switch
    {
        "lost-insert" => faults with { LostInsert = chance },
        "lost-delete" => faults with { LostDelete = chance },
        "corrupt-action" => faults with { CorruptAction = chance },
        "corrupt-mask" => faults with { CorruptMask = chance },
        "duplicate" => faults with { Duplicate = chance },
        "stuck-counter" => faults with { StuckCounter = chance },
        "falsely-full" => faults with { FalselyFull = chance },
        "interrupted-dump" => faults with { InterruptedDump = chance },
        _ => null,
    };
}
