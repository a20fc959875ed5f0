using System.Net;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using Dpu.Linux;

namespace Dpu.Link.Sockets;

/// <summary>sockaddr bytes from endpoints, and who is behind sockaddr bytes that accept4(2) gave.</summary>
internal static class SocketAddresses
{
    /// <summary>sizeof(struct sockaddr_storage).</summary>
    internal const int MaxSize = 128;

    /// <summary>The address of a unix or vsock endpoint.</summary>
    internal static byte[] Of(LinkEndpoint endpoint) => endpoint.Transport switch
    {
        LinkTransport.Unix => Of(new UnixDomainSocketEndPoint(endpoint.Host)),
        LinkTransport.Vsock => Vsock(endpoint.Cid, endpoint.Port),
        _ => throw new ArgumentException($"{endpoint} must be resolved first.", nameof(endpoint)),
    };

    /// <summary>The kernel's form of an address.</summary>
    internal static byte[] Of(EndPoint endPoint)
    {
        var address = endPoint.Serialize();
        return address.Buffer[..address.Size].ToArray();
    }

    /// <summary>The family of an address.</summary>
    internal static int Family(ReadOnlySpan<byte> address) => MemoryMarshal.Read<ushort>(address);

    /// <summary>
    /// What connections are counted by before they are authenticated: the address without its port, the cid, or
    /// <c>unix</c> (there the uid is known and counted instead).
    /// </summary>
    internal static string Origin(ReadOnlySpan<byte> address)
    {
        switch (address.Length < sizeof(ushort) ? sys_socket.AF_UNSPEC : Family(address))
        {
            case sys_socket.AF_INET when address.Length >= 8:
                return new IPAddress(address.Slice(4, 4)).ToString();
            case sys_socket.AF_INET6 when address.Length >= 24:
                var v6 = new IPAddress(address.Slice(8, 16));
                return v6.IsIPv4MappedToIPv6 ? v6.MapToIPv4().ToString() : SlashSixtyFour(v6);
            case sys_socket.AF_VSOCK when address.Length >= Marshal.SizeOf<sockaddr_vm>():
                return $"vsock cid {MemoryMarshal.Read<sockaddr_vm>(address).svm_cid}";
            default:
                return "unix";
        }
    }

    /// <summary>The port of a bound address; 0 for families without.</summary>
    internal static uint Port(ReadOnlySpan<byte> address) => Family(address) switch
    {
        sys_socket.AF_INET or sys_socket.AF_INET6 => System.Buffers.Binary.BinaryPrimitives.ReadUInt16BigEndian(address[2..]),
        sys_socket.AF_VSOCK => MemoryMarshal.Read<sockaddr_vm>(address).svm_port,
        _ => 0,
    };

    // One machine owns a whole /64 as a rule (RFC 4291 2.5.4): counting single addresses would limit nobody.
    private static string SlashSixtyFour(IPAddress address)
    {
        Span<byte> bytes = stackalloc byte[16];
        address.TryWriteBytes(bytes, out _);
        bytes[8..].Clear();
        return new IPAddress(bytes) + "/64";
    }

    private static byte[] Vsock(uint cid, uint port)
    {
        var address = new sockaddr_vm { svm_family = sys_socket.AF_VSOCK, svm_port = port, svm_cid = cid };
        return MemoryMarshal.AsBytes(MemoryMarshal.CreateReadOnlySpan(ref address, 1)).ToArray();
    }
}
