using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using Dpu.Linux;

namespace Dpu.Reconciler.TrafficControl;

/// <summary>Where filters go.</summary>
public enum TcOffload
{
    /// <summary>Into software, and into hardware where that takes them.</summary>
    Both,

    /// <summary>Into hardware alone (skip_sw): what that refuses is refused.</summary>
    HardwareOnly,

    /// <summary>Into software alone (skip_hw).</summary>
    SoftwareOnly,
}

/// <summary>
/// A place of filters: the ingress or egress of an interface, or a block that several share. As text DEV[:egress] or block:N, then
/// [:skip_sw|:skip_hw] and [:untagged]. Immutable.
/// </summary>
/// <param name="Device">The interface; null for a block.</param>
/// <param name="Block">The block's number; 0 for an interface.</param>
/// <param name="Egress">What leaves, and not what comes in.</param>
/// <param name="Offload">Where flows that are added go.</param>
/// <param name="Untagged">Flows that say nothing of tags are those of packets without a tag, as Open vSwitch and most hardware have it.</param>
public sealed record TcPlace(string? Device, uint Block = 0, bool Egress = false, TcOffload Offload = TcOffload.Both, bool Untagged = false)
{
    /// <summary>The forms of <see cref="TryParse"/>, for people.</summary>
    public const string Syntax = "DEV[:egress] or block:N, then [:skip_sw|:skip_hw][:untagged]";

    /// <summary>Reads the text form.</summary>
    public static bool TryParse(string text, [NotNullWhen(true)] out TcPlace? place)
    {
        ArgumentNullException.ThrowIfNull(text);
        string[] parts = text.Split(':');
        place = parts is ["block", var number, ..] && uint.TryParse(number, NumberStyles.None, CultureInfo.InvariantCulture, out uint block) && block > 0
            ? new TcPlace(null, block)
            : parts[0].Length > 0 ? new TcPlace(parts[0]) : null;
        foreach (string word in parts.Skip(place is { Device: null } ? 2 : 1))
        {
            place = (place, word) switch
            {
                ({ Device: not null }, "ingress") => place,
                ({ Device: not null }, "egress") => place with { Egress = true },
                ({ Offload: TcOffload.Both }, "skip_sw") => place with { Offload = TcOffload.HardwareOnly },
                ({ Offload: TcOffload.Both }, "skip_hw") => place with { Offload = TcOffload.SoftwareOnly },
                ({ }, "untagged") => place with { Untagged = true },
                _ => null,
            };
        }

        return place is not null;
    }

    /// <inheritdoc/>
    public override string ToString() =>
        (Device is null ? string.Create(CultureInfo.InvariantCulture, $"block:{Block}") : Device + (Egress ? ":egress" : ":ingress"))
        + Offload switch { TcOffload.HardwareOnly => ":skip_sw", TcOffload.SoftwareOnly => ":skip_hw", _ => "" } + (Untagged ? ":untagged" : "");

    /// <summary>The head of messages about it.</summary>
    internal tcmsg Head(uint index, uint handle = 0, uint info = 0) => new()
    {
        tcm_ifindex = Device is null ? unchecked((int)linux_rtnetlink.TCM_IFINDEX_MAGIC_BLOCK) : (int)index,
        tcm_parent = Device is null ? Block : (linux_rtnetlink.TC_H_CLSACT & 0xffff0000) | (Egress ? linux_rtnetlink.TC_H_MIN_EGRESS : linux_rtnetlink.TC_H_MIN_INGRESS),
        tcm_handle = handle,
        tcm_info = info,
    };
}
