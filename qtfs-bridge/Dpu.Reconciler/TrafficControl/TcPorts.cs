using Dpu.Linux;

namespace Dpu.Reconciler.TrafficControl;

/// <summary>
/// Which port is which interface. Without a list a port's number is the interface's. Interfaces come and go: what the kernel said of them is
/// asked anew with each dump. One thread at a time.
/// </summary>
/// <param name="devices">Ports and names of their interfaces; null for numbers of interfaces.</param>
internal sealed class TcPorts(IReadOnlyDictionary<uint, string>? devices)
{
    private readonly Dictionary<string, uint> _portOfName = devices?.ToDictionary(d => d.Value, d => d.Key, StringComparer.Ordinal) ?? new(StringComparer.Ordinal);
    private readonly Dictionary<string, uint> _indexes = new(StringComparer.Ordinal);
    private readonly Dictionary<uint, string> _names = [];

    /// <summary>Asks the kernel what interfaces there are.</summary>
    /// <exception cref="Targets.TargetException">It cannot be asked.</exception>
    internal void Ask(NetlinkSession session, NetlinkWriter writer, CancellationToken cancellation)
    {
        writer.Clear();
        uint sequence = session.NextSequence();
        writer.Begin(linux_rtnetlink.RTM_GETLINK, linux_rtnetlink.NLM_F_REQUEST | linux_netlink.NLM_F_DUMP, sequence, default(ifinfomsg));
        writer.End();
        Clear();
        _ = session.Dump(writer.Written, sequence, "listing interfaces", (_, type, body) =>
        {
            if (type == linux_rtnetlink.RTM_NEWLINK && TryRead(body, out uint index, out string? name) && name is not null)
            {
                Add(index, name);
            }
        }, cancellation);
    }

    /// <summary>Reads a message about an interface; false where it is none. The name is null where it does not say it.</summary>
    internal static bool TryRead(ReadOnlySpan<byte> body, out uint index, out string? name)
    {
        (index, name) = (0, null);
        if (!NetlinkAttributes.TryRead(body, out ifinfomsg head))
        {
            return false;
        }

        index = (uint)head.ifi_index;
        NetlinkAttributes attributes = new(body[System.Runtime.CompilerServices.Unsafe.SizeOf<ifinfomsg>()..]);
        while (attributes.Next())
        {
            name = attributes.Type == linux_rtnetlink.IFLA_IFNAME ? NetlinkAttributes.Text(attributes.Value) : name;
        }

        return true;
    }

    internal void Clear()
    {
        _indexes.Clear();
        _names.Clear();
    }

    internal void Add(uint index, string name) => (_indexes[name], _names[index]) = (index, name);

    /// <summary>An interface's number; null where there is none of that name.</summary>
    internal uint? IndexOf(string name) => _indexes.TryGetValue(name, out uint index) ? index : null;

    internal uint? PortOf(string name) => devices is null ? IndexOf(name) : _portOfName.TryGetValue(name, out uint port) ? port : null;

    internal uint? PortOf(uint index) => devices is null ? index : _names.TryGetValue(index, out string? name) ? PortOf(name) : null;

    internal string? NameOf(uint port) => devices is null ? _names.GetValueOrDefault(port) : devices.GetValueOrDefault(port);

    internal uint? IndexOf(uint port) => NameOf(port) is { } name ? IndexOf(name) : null;
}
