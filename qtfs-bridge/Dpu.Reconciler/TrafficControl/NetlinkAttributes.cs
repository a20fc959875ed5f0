using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;
using Dpu.Linux;

namespace Dpu.Reconciler.TrafficControl;

/// <summary>
/// Goes through netlink attributes. A length that does not fit ends it, with <see cref="IsBroken"/>: nothing is read past the end. Pure.
/// </summary>
internal ref struct NetlinkAttributes(ReadOnlySpan<byte> bytes)
{
    private ReadOnlySpan<byte> _rest = bytes;

    internal ushort Type { get; private set; }

    internal ReadOnlySpan<byte> Value { get; private set; }

    /// <summary>The bytes are no attributes, from where <see cref="Next"/> ended on.</summary>
    internal bool IsBroken { get; private set; }

    internal bool Next()
    {
        if (_rest.Length < Unsafe.SizeOf<nlattr>())
        {
            IsBroken = !_rest.IsEmpty;
            return false;
        }

        int length = BinaryPrimitives.ReadUInt16LittleEndian(_rest);
        if (length < Unsafe.SizeOf<nlattr>() || length > _rest.Length)
        {
            IsBroken = true;
            return false;
        }

        Type = (ushort)(BinaryPrimitives.ReadUInt16LittleEndian(_rest[2..]) & linux_rtnetlink.NLA_TYPE_MASK);
        Value = _rest[Unsafe.SizeOf<nlattr>()..length];
        int aligned = (length + linux_netlink.NLMSG_ALIGNTO - 1) & ~(linux_netlink.NLMSG_ALIGNTO - 1);
        _rest = _rest[Math.Min(aligned, _rest.Length)..];
        return true;
    }

    /// <summary>The struct at the beginning of bytes; false where these are fewer.</summary>
    internal static bool TryRead<T>(ReadOnlySpan<byte> bytes, out T value)
        where T : unmanaged => MemoryMarshal.TryRead(bytes, out value);

    /// <summary>A text, up to its NUL.</summary>
    internal static string Text(ReadOnlySpan<byte> value) => Encoding.UTF8.GetString(value.IndexOf((byte)0) is >= 0 and int end ? value[..end] : value);
}
