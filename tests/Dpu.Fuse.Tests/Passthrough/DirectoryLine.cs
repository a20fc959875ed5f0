using System.Runtime.InteropServices;
using System.Text;
using Dpu.Fuse.Wire;

namespace Dpu.Fuse.Tests.Passthrough;

/// <summary>An entry of a directory as the peer reads it off the wire.</summary>
internal sealed record DirectoryLine(string Name, ulong Inode, ulong Offset, uint Type, fuse_entry_out Entry)
{
    public static void Parse(ReadOnlySpan<byte> reply, bool plus, List<DirectoryLine> lines)
    {
        while (!reply.IsEmpty)
        {
            fuse_entry_out entry = plus ? MemoryMarshal.Read<fuse_entry_out>(reply) : default;
            int head = plus ? Marshal.SizeOf<fuse_entry_out>() : 0;
            fuse_dirent line = MemoryMarshal.Read<fuse_dirent>(reply[head..]);
            head += Marshal.SizeOf<fuse_dirent>();
            lines.Add(new DirectoryLine(Encoding.Latin1.GetString(reply.Slice(head, (int)line.namelen)), line.ino, line.off, line.type, entry));
            reply = reply[((head + (int)line.namelen + 7) & ~7)..];
        }
    }
}
