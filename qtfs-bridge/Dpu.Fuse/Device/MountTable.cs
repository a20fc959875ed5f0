using System.Buffers.Text;
using System.Text;

namespace Dpu.Fuse;

/// <summary>A line of <c>/proc/PID/mountinfo</c> (proc_pid_mountinfo(5)), as far as FUSE mounts need it.</summary>
/// <param name="Major">Major number of the file system's device; 0 for one without a block device.</param>
/// <param name="Minor">Minor number; of a FUSE mount also its number in fusectl.</param>
/// <param name="MountPoint">Where it is mounted, in bytes: paths are not text.</param>
/// <param name="Type">The file system's type, e.g. <c>fuse.dpu</c>.</param>
internal sealed record MountTableEntry(uint Major, uint Minor, byte[] MountPoint, string Type)
{
    /// <summary>Whether the kernel's FUSE client serves it.</summary>
    internal bool IsFuse => Type == "fuse" || Type.StartsWith("fuse.", StringComparison.Ordinal);
}

/// <summary>Reads the calling thread's mount table.</summary>
internal static class MountTable
{
    private const string Source = "/proc/thread-self/mountinfo";

    /// <summary>What is mounted at a canonical path, lowest first: what path look-up finds is the last.</summary>
    internal static IReadOnlyList<MountTableEntry> At(ReadOnlySpan<byte> path)
    {
        var found = new List<MountTableEntry>();
        foreach (MountTableEntry entry in Parse(File.ReadAllBytes(Source)))
        {
            if (path.SequenceEqual(entry.MountPoint))
            {
                found.Add(entry);
            }
        }

        return found;
    }

    /// <summary>Everything that is mounted, in the order of mounting.</summary>
    internal static IReadOnlyList<MountTableEntry> All() => Parse(File.ReadAllBytes(Source));

    /// <summary>The entries of a whole table; lines that are not as documented are left out.</summary>
    internal static List<MountTableEntry> Parse(ReadOnlySpan<byte> table)
    {
        var entries = new List<MountTableEntry>();
        foreach (Range line in table.Split((byte)'\n'))
        {
            if (TryParseLine(table[line], out MountTableEntry? entry))
            {
                entries.Add(entry!);
            }
        }

        return entries;
    }

    /// <summary><c>ID PARENT MAJOR:MINOR ROOT MOUNTPOINT OPTIONS [OPTIONAL]... - TYPE SOURCE SUPER</c>.</summary>
    private static bool TryParseLine(ReadOnlySpan<byte> line, out MountTableEntry? entry)
    {
        entry = null;
        ReadOnlySpan<byte> rest = line;
        Next(ref rest);
        Next(ref rest);
        ReadOnlySpan<byte> device = Next(ref rest);
        Next(ref rest);
        ReadOnlySpan<byte> mountPoint = Next(ref rest);
        int separator = rest.IndexOf(" - "u8);
        int colon = device.IndexOf((byte)':');
        if (separator < 0 || colon < 0 || mountPoint.IsEmpty
            || !Utf8Parser.TryParse(device[..colon], out uint major, out int majorSize) || majorSize != colon
            || !Utf8Parser.TryParse(device[(colon + 1)..], out uint minor, out int minorSize) || minorSize != device.Length - colon - 1)
        {
            return false;
        }

        rest = rest[(separator + 3)..];
        entry = new MountTableEntry(major, minor, Unescape(mountPoint), Encoding.UTF8.GetString(Next(ref rest)));
        return true;
    }

    private static ReadOnlySpan<byte> Next(ref ReadOnlySpan<byte> rest)
    {
        int space = rest.IndexOf((byte)' ');
        ReadOnlySpan<byte> field = space < 0 ? rest : rest[..space];
        rest = space < 0 ? default : rest[(space + 1)..];
        return field;
    }

    /// <summary>Space, tab, newline, '#' and backslash are written as a backslash and three octal digits.</summary>
    private static byte[] Unescape(ReadOnlySpan<byte> field)
    {
        byte[] result = new byte[field.Length];
        int length = 0;
        for (int i = 0; i < field.Length; i++)
        {
            if (field[i] == '\\' && field.Length - i > 3 && IsOctal(field[i + 1]) && IsOctal(field[i + 2]) && IsOctal(field[i + 3]))
            {
                result[length++] = (byte)(((field[i + 1] - '0') << 6) | ((field[i + 2] - '0') << 3) | (field[i + 3] - '0'));
                i += 3;
            }
            else
            {
                result[length++] = field[i];
            }
        }

        return result[..length];
    }

    private static bool IsOctal(byte letter) => letter is >= (byte)'0' and <= (byte)'7';
}
