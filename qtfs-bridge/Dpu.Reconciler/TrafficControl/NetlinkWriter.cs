using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;
using Dpu.Linux;

namespace Dpu.Reconciler.TrafficControl;

/// <summary>
/// Builds netlink messages one behind the other: heads, attributes and nests, each aligned to 4 bytes (netlink(7)). Numbers are in
/// the machine's order unless the method says otherwise. One thread at a time.
/// </summary>
internal sealed class NetlinkWriter
{
    private byte[] _bytes = new byte[4096];
    private int _length;
    private int _message = -1;

    internal ReadOnlySpan<byte> Written => _bytes.AsSpan(0, _length);

    internal void Clear() => (_length, _message) = (0, -1);

    /// <summary>Begins a message: its head, and a struct behind it.</summary>
    internal void Begin<T>(ushort type, ushort flags, uint sequence, in T body)
        where T : unmanaged
    {
        _message = _length;
        Put(new nlmsghdr { nlmsg_type = type, nlmsg_flags = flags, nlmsg_seq = sequence });
        Put(body);
    }

    /// <summary>Ends the message: its length is known now.</summary>
    internal void End()
    {
        BinaryPrimitives.WriteUInt32LittleEndian(_bytes.AsSpan(_message), (uint)(_length - _message));
        _message = -1;
    }

    internal void Attribute(ushort type, ReadOnlySpan<byte> value)
    {
        Put(new nlattr { nla_len = (ushort)(Unsafe.SizeOf<nlattr>() + value.Length), nla_type = type });
        value.CopyTo(Take(value.Length));
        Align();
    }

    internal void Attribute<T>(ushort type, T value)
        where T : unmanaged => Attribute(type, MemoryMarshal.AsBytes(new ReadOnlySpan<T>(in value)));

    internal void BigEndian(ushort type, ushort value) => Attribute(type, BinaryPrimitives.ReverseEndianness(value));

    internal void BigEndian(ushort type, uint value) => Attribute(type, BinaryPrimitives.ReverseEndianness(value));

    internal void BigEndian(ushort type, UInt128 value)
    {
        Span<byte> bytes = stackalloc byte[16];
        BinaryPrimitives.WriteUInt128BigEndian(bytes, value);
        Attribute(type, bytes);
    }

    /// <summary>An Ethernet address: the low 48 bits, the first byte on the wire first.</summary>
    internal void Ethernet(ushort type, ulong value)
    {
        Span<byte> bytes = stackalloc byte[8];
        BinaryPrimitives.WriteUInt64BigEndian(bytes, value);
        Attribute(type, bytes[2..]);
    }

    /// <summary>A text with a NUL behind it.</summary>
    internal void Text(ushort type, string text) => Attribute(type, Encoding.UTF8.GetBytes(text + '\0'));

    /// <summary>Begins a nest; what it returns goes to <see cref="EndNest"/>.</summary>
    internal int BeginNest(ushort type)
    {
        int at = _length;
        Put(new nlattr { nla_type = type });
        return at;
    }

    internal void EndNest(int nest) => BinaryPrimitives.WriteUInt16LittleEndian(_bytes.AsSpan(nest), (ushort)(_length - nest));

    private void Put<T>(in T value)
        where T : unmanaged
    {
        MemoryMarshal.Write(Take(Unsafe.SizeOf<T>()), in value);
        Align();
    }

    private Span<byte> Take(int count)
    {
        while (_length + count + linux_netlink.NLMSG_ALIGNTO > _bytes.Length)
        {
            Array.Resize(ref _bytes, _bytes.Length * 2);
        }

        _length += count;
        return _bytes.AsSpan(_length - count, count);
    }

    private void Align()
    {
        int padding = -_length & (linux_netlink.NLMSG_ALIGNTO - 1);
        Take(padding).Clear();
    }
}
