using Dpu.Linux;

namespace Dpu.Fuse;

/// <summary>
/// The mounts of this process's namespace by numbers that are never used again, from the kernel and not from the file
/// systems: it never waits for one that hangs. Linux 6.8 and newer; elsewhere there is nothing. Thread-safe.
/// </summary>
public static unsafe class KernelMounts
{
    /// <summary>What statx(2) is asked for, to number a file's mount.</summary>
    internal const uint NumberBits = stat.STATX_MNT_ID | stat.STATX_MNT_ID_UNIQUE;

    // A path of the kernel's longest and the numbers before it.
    private const int RoomForOne = 8192;
    private const int PieceLength = 512;

    // A table that grows while it is read ends somewhere.
    private const int MostMounts = 1 << 20;

    private static readonly Lazy<bool> s_available = new(() => TryList(out _));

    /// <summary>Whether the kernel has such numbers.</summary>
    public static bool Available => s_available.Value;

    /// <summary>The numbers of all mounts; false where the kernel does not tell.</summary>
    public static bool TryList(out HashSet<ulong> numbers) => TryList(linux_mount.LSMT_ROOT, out numbers);

    /// <summary>The numbers of all mounts below one.</summary>
    /// <param name="number">That one's; it is not among them.</param>
    /// <param name="numbers">Theirs.</param>
    public static bool TryList(ulong number, out HashSet<ulong> numbers)
    {
        numbers = [];
        ulong* piece = stackalloc ulong[PieceLength];
        var request = new mnt_id_req { size = linux_mount.MNT_ID_REQ_SIZE_VER0, mnt_id = number };
        while (numbers.Count < MostMounts)
        {
            // SAFETY: the kernel reads one request and writes at most PieceLength numbers.
            long count = LibC.Result((nint)LibC.listmount(&request, piece, PieceLength));
            if (count < 0)
            {
                return false;
            }

            for (int i = 0; i < count; i++)
            {
                numbers.Add(piece[i]);
            }

            if (count < PieceLength)
            {
                return true;
            }

            request.param = piece[count - 1];
        }

        return true;
    }

    /// <summary>Where a mount is, as this process would name it; null where it is gone or out of reach.</summary>
    public static byte[]? PointOf(ulong number)
    {
        byte* room = stackalloc byte[RoomForOne];
        var request = new mnt_id_req
        {
            size = linux_mount.MNT_ID_REQ_SIZE_VER0,
            mnt_id = number,
            param = linux_mount.STATMOUNT_MNT_BASIC | linux_mount.STATMOUNT_MNT_POINT,
        };

        // SAFETY: the kernel reads one request and writes at most RoomForOne bytes, which begin with the numbers.
        if (LibC.statmount(&request, room, RoomForOne) != 0)
        {
            return null;
        }

        var answer = (statmount*)room;
        int offset = sizeof(statmount) + (int)Math.Min(answer->mnt_point, RoomForOne);
        if ((answer->mask & linux_mount.STATMOUNT_MNT_POINT) == 0 || offset >= RoomForOne)
        {
            return null;
        }

        ReadOnlySpan<byte> text = new(room + offset, RoomForOne - offset);
        int end = text.IndexOf((byte)0);
        return end > 0 ? text[..end].ToArray() : null;
    }
}
