using Dpu.Fuse;
using Dpu.Keeper;
using Dpu.Qtfs.Mount.Handover;
using Microsoft.Extensions.Logging;
using Microsoft.Win32.SafeHandles;

namespace Dpu.Qtfs.Mount;

/// <summary>A mount that a runtime has left with the keeper.</summary>
/// <param name="Key">Its name there.</param>
/// <param name="Options">What it is.</param>
/// <param name="Configured">Whether the configuration named it.</param>
/// <param name="Started">When it was made.</param>
public sealed record KeptMount(string Key, RemoteMountOptions Options, bool Configured, DateTimeOffset Started)
{
    internal MountDescription Description { get; init; } = null!;
}

// What outlives the process, and how the next one goes on with it.
public sealed partial class RemoteMount
{
    private const string MainDevice = "device/main";
    private const string GuardsDevice = "device/guard";

    private readonly DateTimeOffset _started;
    private readonly bool _configured;

    // Before what this kind of mount cannot have was taken out.
    private readonly RemoteMountOptions _asked;
    private readonly Dictionary<ulong, ParkedRequest> _parkedOfLanes = [];

    /// <summary>Whether it was made by an earlier runtime.</summary>
    public bool IsTakenOver { get; }

    /// <summary>Whether a runtime that takes the place of this one goes on with it; see <see cref="WhyNotKept"/>.</summary>
    public bool IsKept => WhyNotKept is null && State.IsProtected;

    /// <summary>Why it ends with this runtime, keeper or not; null where it need not.</summary>
    public string? WhyNotKept { get; private set; }

    internal KeptState State { get; }

    /// <summary>Requests that no lane has.</summary>
    internal RequestCells Cells { get; }

    /// <summary>Its number in fusectl.</summary>
    internal long ConnectionNumber => _device.ConnectionNumber;

    internal SafeFileHandle GuardDevice => _guardDevice;

    /// <summary>The mounts that an earlier runtime has left. What cannot be gone on with is let go, which ends it.</summary>
    /// <param name="keeping">What the keeper holds.</param>
    /// <param name="refused">Told of each that is let go, and why.</param>
    public static IReadOnlyList<KeptMount> FindKept(Keeping keeping, Action<string, string> refused)
    {
        List<KeptMount> found = [];
        foreach (IGrouping<string, KeptEntry> entries in keeping.List(KeptState.Beginning).GroupBy(entry => entry.Name.Split('/')[1]).ToArray())
        {
            string problem = "it was not complete";
            KeptEntry? about = entries.FirstOrDefault(entry => entry.Name.EndsWith("/about", StringComparison.Ordinal));
            MountDescription? description = about is null ? null : MountDescription.Read(about.Note.Span, out problem);
            if (description is not null)
            {
                found.Add(new KeptMount(entries.Key, description.Options, description.Configured, description.Started) { Description = description });
                continue;
            }

            refused(entries.Key, problem);
            keeping.DropAll($"{KeptState.Beginning}{entries.Key}/");
        }

        return found;
    }

    /// <summary>Goes on with a mount of an earlier runtime. It need not reach the host for that: requests wait for it as ever.</summary>
    /// <exception cref="IOException">It has ended meanwhile, or something of it is missing; then it is let go.</exception>
    /// <param name="kept">One of <see cref="FindKept"/>.</param>
    /// <param name="keeping">What the keeper holds.</param>
    /// <param name="connector">The link to the host.</param>
    /// <param name="logger">The log.</param>
    /// <param name="slow">From when on requests are logged as slow.</param>
    public static RemoteMount TakeOver(KeptMount kept, Keeping keeping, IHostConnector connector, ILogger logger, SlowRequestLimit slow)
    {
        try
        {
            return new RemoteMount(kept, keeping, connector, logger, slow);
        }
        catch
        {
            keeping.DropAll($"{KeptState.Beginning}{kept.Key}/");
            throw;
        }
    }

    /// <summary>Whether it still has its place in the table of mounts: not where it was detached and lives for its users only.</summary>
    public bool IsInPlace => _device.IsInPlace;

    /// <summary>A request that an earlier runtime's lane has taken from the parked ones; null where it had ended it.</summary>
    internal ParkedRequest? TakeParked(ulong unique)
    {
        lock (_parkedOfLanes)
        {
            return _parkedOfLanes.Remove(unique, out ParkedRequest? parked) ? parked : null;
        }
    }

    /// <summary>Whether the kernel's request of that number is here.</summary>
    internal bool HasRequest(ulong unique) => Lanes.Any(lane => lane.Has(unique)) || Pending.Has(unique) || Overflow.Has(unique);

    /// <summary>What <see cref="CellHead.Device"/> says of a device.</summary>
    internal uint NumberOf(SafeFileHandle device) => (uint)(Array.IndexOf(_laneDevices, device) + 1);

    private static string LanesDevice(int lane) => $"device/lane{lane}";

    private static SafeFileHandle Take(Keeping keeping, string key, string device) =>
        keeping.Get($"{KeptState.Beginning}{key}/{device}")?.Descriptor ?? throw new IOException($"the keeper has no '{device}' of it");

    // The descriptors before the kernel has anything to ask, and what the mount is once that is known.
    private void HoldDevices(SafeFileHandle[] lanes)
    {
        if (Options.Transport == MountTransport.IoUring)
        {
            WhyNotKept = "the kernel's rings end with the process that made them";
            return;
        }

        State.Hold(MainDevice, _device.Handle);
        State.Hold(GuardsDevice, _guardDevice);
        for (int lane = 0; lane < lanes.Length; lane++)
        {
            State.Hold(LanesDevice(lane), lanes[lane]);
        }
    }

    /// <summary>Kernel and host have agreed. Before the kernel knows, so that whatever is begun on the mount is gone on with.</summary>
    internal void Agreed()
    {
        if (InitExchange.Refusal is null)
        {
            Describe();
        }
    }

    private void Describe()
    {
        if (WhyNotKept is not null)
        {
            State.End();
            return;
        }

        (byte[] init, byte[] agreed) = InitExchange.Saved;
        byte[]? note = new MountDescription(
            KeptState.LayoutVersion, _asked, _configured, _started, Volatile.Read(ref _id), _device.Place, _device.ConnectionNumber, _hostReadOnly, Relief.Allowed, init, agreed).ToNote();
        if (note is null)
        {
            WhyNotKept = "its paths are too long for the keeper";
            State.End();
            return;
        }

        State.Describe(note);
    }

    /// <summary>Shares out what the earlier runtime has not ended, before any thread runs.</summary>
    private void Recover()
    {
        MountLane[] lanes = [.. _lanes, .. Relief.Recover(State.Lanes)];
        HashSet<ulong> ofLanes = [.. lanes.Select(lane => lane.Unfinished).Where(unique => unique != 0)];
        HashSet<ulong> takenByLanes = [.. lanes.Where(lane => lane.HasParked).Select(lane => lane.Unfinished)];
        foreach (ParkedRequest parked in Cells.Found)
        {
            Guard.Watch(parked.Unique, parked.Caller);
            SafeFileHandle device = parked.Device is > 0 and uint number && number <= _laneDevices.Length ? _laneDevices[number - 1] : _guardDevice;
            if (parked.For == ParkedFor.Lane && takenByLanes.Contains(parked.Unique))
            {
                _parkedOfLanes.Add(parked.Unique, parked);
            }
            else if (ofLanes.Contains(parked.Unique))
            {
                // A copy: the lane had not let go of it, and does all of it again.
                parked.Dispose();
            }
            else if (parked.For == ParkedFor.Lane)
            {
                Counters.CountRecovered();
                Overflow.Add(new OverflowRequest(parked, device));
            }
            else
            {
                Pending.Recover(parked, device);
            }
        }

        HashSet<ulong> known = [.. ofLanes, .. Cells.Found.Select(parked => parked.Unique)];
        Guard.Recover(_guardDevice, known.Contains);
    }
}
