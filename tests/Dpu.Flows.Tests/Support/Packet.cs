using System.Buffers.Binary;

namespace Dpu.Flows.Tests.Support;

/// <summary>Builds packets header by header, outermost first, as bytes on the wire.</summary>
internal static class Packet
{
    internal static readonly byte[] MacA = [0x02, 0, 0, 0, 0, 0x0a];
    internal static readonly byte[] MacB = [0x02, 0, 0, 0, 0, 0x0b];

    internal static byte[] Join(params byte[][] parts) => [.. parts.SelectMany(p => p)];

    internal static byte[] Be16(int value) => [(byte)(value >> 8), (byte)value];

    internal static byte[] Be32(uint value)
    {
        byte[] bytes = new byte[4];
        BinaryPrimitives.WriteUInt32BigEndian(bytes, value);
        return bytes;
    }

    internal static byte[] Ethernet(int type, byte[] payload) => Join(MacB, MacA, Be16(type), payload);

    internal static byte[] Vlan(int tci, int type, byte[] payload) => Join(Be16(tci), Be16(type), payload);

    internal static byte[] Mpls(uint label, int trafficClass, bool bottom, byte ttl, byte[] payload) =>
        Join(Be32((label << 12) | ((uint)trafficClass << 9) | (bottom ? 0x100u : 0) | ttl), payload);

    internal static byte[] Arp(int operation, uint sender, uint target) =>
        Join(Be16(1), Be16(0x0800), [6, 4], Be16(operation), MacA, Be32(sender), MacB, Be32(target));

    internal static byte[] IPv4(byte protocol, uint source, uint destination, byte[] payload, byte[]? options = null, int fragment = 0, byte tos = 0, byte ttl = 64)
    {
        options ??= [];
        int header = 20 + options.Length;
        byte[] bytes = Join([(byte)(0x40 | (header / 4)), tos], Be16(header + payload.Length), Be16(7), Be16(fragment), [ttl, protocol, 0, 0], Be32(source), Be32(destination), options);
        uint sum = 0;
        for (int i = 0; i < header; i += 2)
        {
            sum += BinaryPrimitives.ReadUInt16BigEndian(bytes.AsSpan(i));
        }

        sum = (sum & 0xffff) + (sum >> 16);
        BinaryPrimitives.WriteUInt16BigEndian(bytes.AsSpan(10), (ushort)~((sum & 0xffff) + (sum >> 16)));
        return Join(bytes, payload);
    }

    internal static byte[] IPv6(byte next, byte[] payload, byte trafficClass = 0, uint label = 0, byte hops = 64) =>
        Join(Be32(0x60000000 | ((uint)trafficClass << 20) | label), Be16(payload.Length), [next, hops], Address(0xa), Address(0xb), payload);

    internal static byte[] Address(byte last) => [0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last];

    /// <summary>An extension header of 8 × (<paramref name="extra"/> + 1) bytes.</summary>
    internal static byte[] Extension(byte next, int extra, byte[] payload) => Join([next, (byte)extra], new byte[6 + (extra * 8)], payload);

    internal static byte[] Fragment(byte next, int offsetAndMore, byte[] payload) => Join([next, 0], Be16(offsetAndMore), Be32(99), payload);

    internal static byte[] Tcp(int source, int destination, int flags = 0x002) =>
        Join(Be16(source), Be16(destination), Be32(1), Be32(0), Be16(0x5000 | flags), Be16(1000), Be16(0), Be16(0));

    internal static byte[] Udp(int source, int destination, byte[]? payload = null) =>
        Join(Be16(source), Be16(destination), Be16(8 + (payload?.Length ?? 0)), Be16(0), payload ?? []);

    internal static byte[] Sctp(int source, int destination) => Join(Be16(source), Be16(destination), Be32(5), Be32(0));

    internal static byte[] Icmp(byte type, byte code) => [type, code, 0, 0, 0, 1, 0, 2];

    internal static byte[] Vxlan(uint vni, byte[] frame) => Udp(40000, 4789, Join([0x08, 0, 0, 0], Be32(vni << 8), frame));

    internal static byte[] Geneve(uint vni, int protocol, byte[] options, byte[] payload) =>
        Udp(40000, 6081, Join([(byte)(options.Length / 4), 0], Be16(protocol), Be32(vni << 8), options, payload));

    internal static byte[] Gre(int protocol, uint? key, bool checksum, byte[] payload) =>
        Join(Be16((checksum ? 0x8000 : 0) | (key is null ? 0 : 0x2000)), Be16(protocol), checksum ? [1, 2, 3, 4] : [], key is { } k ? Be32(k) : [], payload);
}
