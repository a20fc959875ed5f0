using System.Buffers.Text;

namespace Dpu.Qtfs.Mount.Processes;

/// <summary>
/// The nodes that a merged mount has beside its host's: a few at the top, and one for the number of a process. Their ids
/// say all about them, so that nothing is kept of them. Pure.
/// </summary>
internal static class OwnNodes
{
    /// <summary>Every id of ours has this bit. A host that uses it breaks the protocol.</summary>
    public const ulong Mark = 1UL << 63;

    /// <summary>The directory on which the DPU's procfs is mounted.</summary>
    public const ulong Folder = Mark | 1;

    /// <summary>The link <c>self</c>.</summary>
    public const ulong Self = Mark | 2;

    /// <summary>The link <c>thread-self</c>.</summary>
    public const ulong ThreadSelf = Mark | 3;

    /// <summary>The link <c>mounts</c>.</summary>
    public const ulong Mounts = Mark | 4;

    /// <summary>The link <c>net</c>.</summary>
    public const ulong Net = Mark | 5;

    /// <summary>The name of <see cref="Folder"/>, which no listing shows.</summary>
    public const string FolderName = ".local";

    private const ulong ProcessBit = 1UL << 62;

    /// <summary>Whether an id is one of ours.</summary>
    public static bool IsOwn(ulong node) => (node & Mark) != 0;

    /// <summary>The link of a process's number.</summary>
    public static ulong OfProcess(int number) => Mark | ProcessBit | (uint)number;

    /// <summary>The number of the process that a link is for.</summary>
    public static bool TryProcess(ulong node, out int number)
    {
        number = (int)(uint)node;
        return (node & ~(ulong)int.MaxValue) == (Mark | ProcessBit) && number > 0;
    }

    /// <summary>The inode number that programs see: far from any of procfs, which begin at 1 and at 2³² - 2²⁸.</summary>
    public static ulong InodeOf(ulong node) => node & ~Mark | (1UL << 61);

    /// <summary>The node of a name at the top that means its reader; 0 for any other.</summary>
    public static ulong OfName(ReadOnlySpan<byte> name) =>
        name.SequenceEqual("self"u8) ? Self
        : name.SequenceEqual("thread-self"u8) ? ThreadSelf
        : name.SequenceEqual("mounts"u8) ? Mounts
        : name.SequenceEqual("net"u8) ? Net
        : name.SequenceEqual(".local"u8) ? Folder
        : 0;

    /// <summary>Reads the name of a process, as procfs writes it.</summary>
    public static bool TryNumber(ReadOnlySpan<byte> name, out int number)
    {
        number = 0;
        return name.Length is > 0 and <= 10 && name[0] is >= (byte)'1' and <= (byte)'9'
            && Utf8Parser.TryParse(name, out number, out int used) && used == name.Length && number > 0;
    }
}
