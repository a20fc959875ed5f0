using System.Runtime.InteropServices;
using System.Text;
using Dpu.Fuse.Wire;

namespace Dpu.Fuse.Tests.Support;

/// <summary>Writes a FUSE request as the kernel would.</summary>
internal sealed class RequestBuilder(fuse_opcode opcode, ulong node = FuseConstants.FUSE_ROOT_ID)
{
    internal const ulong Unique = 0x1234;
    private readonly List<byte> _body = [];
    private readonly List<byte> _extensions = [];

    internal RequestBuilder Struct<T>(T value) where T : unmanaged
    {
        _body.AddRange(MemoryMarshal.AsBytes(new ReadOnlySpan<T>(in value)));
        return this;
    }

    internal RequestBuilder Name(string name) => Bytes(Encoding.UTF8.GetBytes(name)).Bytes([0]);

    internal RequestBuilder Bytes(params byte[] bytes)
    {
        _body.AddRange(bytes);
        return this;
    }

    internal RequestBuilder Groups(params uint[] groups) =>
        Extension((uint)fuse_ext_type.FUSE_EXT_GROUPS, [.. BitConverter.GetBytes((uint)groups.Length), .. MemoryMarshal.AsBytes<uint>(groups)]);

    internal RequestBuilder Extension(uint type, byte[] content)
    {
        int size = (8 + content.Length + 7) & ~7;
        _extensions.AddRange(BitConverter.GetBytes((uint)size));
        _extensions.AddRange(BitConverter.GetBytes(type));
        _extensions.AddRange(content);
        _extensions.AddRange(new byte[size - 8 - content.Length]);
        return this;
    }

    internal byte[] Build()
    {
        var header = new fuse_in_header
        {
            len = (uint)(Marshal.SizeOf<fuse_in_header>() + _body.Count + _extensions.Count),
            opcode = (uint)opcode,
            unique = Unique,
            nodeid = node,
            uid = 1000,
            gid = 2000,
            pid = 3000,
            total_extlen = (ushort)(_extensions.Count / 8),
        };
        return [.. MemoryMarshal.AsBytes(new ReadOnlySpan<fuse_in_header>(in header)), .. _body, .. _extensions];
    }
}
