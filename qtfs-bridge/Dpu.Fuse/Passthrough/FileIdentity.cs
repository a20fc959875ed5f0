using Dpu.Linux;
using static Dpu.Linux.LibC;

namespace Dpu.Fuse;

/// <summary>
/// Says which file of a machine's disks one is, in 64 bits that mean the same after a reboot: its file system, its inode number, and what
/// the kernel's handle has besides, which is the inode's generation. Pure but for asking the kernel.
/// </summary>
/// <remarks>
/// The file system is told by f_fsid: of its UUID (ext4, Btrfs), of a number made at each mount (tmpfs, whose files do not outlive it), of the
/// device (XFS: one that gets another number has other files). Not a secret: who says one is believed no more than who looks the name up.
/// </remarks>
public static unsafe class FileIdentity
{
    // No generation of a node's id has it.
    private const ulong Mark = 1UL << 63;

    /// <summary>Whether a generation of an entry is an identity.</summary>
    public static bool Is(ulong generation) => (generation & Mark) != 0;

    /// <summary>The identity of a node that has a handle; 0 where the kernel does not tell.</summary>
    /// <param name="descriptor">The file.</param>
    /// <param name="record">Its node.</param>
    internal static ulong Of(int descriptor, in NodeRecord record)
    {
        statfs state;
        if (record.Handle.IsName || !record.Handle.Exists || Result(fstatfs(descriptor, &state)) < 0)
        {
            return 0;
        }

        ulong fileSystem = (uint)state.f_fsid[0] | ((ulong)(uint)state.f_fsid[1] << 32);
        return record.Handle.Mix(Mixed(Mixed(record.Type, fileSystem == 0 ? record.Device : fileSystem), record.Inode)) | Mark;
    }

    // The finalizer of SplitMix64 (Steele, Lea, Flood 2014): every bit of both decides about every bit.
    internal static ulong Mixed(ulong hash, ulong value)
    {
        ulong mixed = (hash ^ value) + 0x9E3779B97F4A7C15UL;
        mixed = (mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9UL;
        mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EBUL;
        return mixed ^ (mixed >> 31);
    }
}
