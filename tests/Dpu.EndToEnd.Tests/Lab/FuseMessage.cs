using System.Runtime.InteropServices;
using System.Text;
using Dpu.Fuse.Wire;

namespace Dpu.EndToEnd.Tests.Lab;

/// <summary>FUSE requests as a kernel would write them, or as it never would.</summary>
internal static class FuseMessage
{
    /// <summary>A request with a right header.</summary>
    public static byte[] Request(fuse_opcode opcode, ulong node = FuseConstants.FUSE_ROOT_ID, params byte[][] body)
    {
        byte[] content = [.. body.SelectMany(part => part)];
        return
        [
            .. Bytes(new fuse_in_header
            {
                len = (uint)(Marshal.SizeOf<fuse_in_header>() + content.Length),
                opcode = (uint)opcode,
                unique = 2,
                nodeid = node,
                pid = 1,
            }),
            .. content,
        ];
    }

    /// <summary>The INIT of a kernel that offers nothing.</summary>
    public static byte[] Init() => Request(fuse_opcode.FUSE_INIT, 0, Bytes(new fuse_init_in { major = 7, minor = 38, max_readahead = 131072 }));

    /// <summary>A name with its NUL.</summary>
    public static byte[] Name(string name) => [.. Encoding.UTF8.GetBytes(name), 0];

    /// <summary>A struct as it lies in memory.</summary>
    public static byte[] Bytes<T>(T value)
        where T : unmanaged => MemoryMarshal.AsBytes(new ReadOnlySpan<T>(in value)).ToArray();
}
