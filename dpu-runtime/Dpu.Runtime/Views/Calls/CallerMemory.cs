using System.Globalization;
using Dpu.Linux;

namespace Dpu.Runtime.Views.Calls;

/// <summary>What a caller that waits has passed, and who it is. Pure but for the kernel.</summary>
internal static unsafe class CallerMemory
{
    /// <summary>Copies from it; false where it has nothing there.</summary>
    public static bool TryRead(uint thread, ulong address, Span<byte> into)
    {
        fixed (byte* at = into)
        {
            var here = new iovec { iov_base = at, iov_len = (nuint)into.Length };
            var there = new iovec { iov_base = (void*)address, iov_len = (nuint)into.Length };

            // SAFETY: pinned, with its length; the other's memory is the kernel's to check.
            return into.IsEmpty || LibC.process_vm_readv((int)thread, &here, 1, &there, 1, 0) == into.Length;
        }
    }

    /// <summary>Copies into it; false where it may not write there.</summary>
    public static bool TryWrite(uint thread, ulong address, ReadOnlySpan<byte> from)
    {
        fixed (byte* at = from)
        {
            var here = new iovec { iov_base = at, iov_len = (nuint)from.Length };
            var there = new iovec { iov_base = (void*)address, iov_len = (nuint)from.Length };

            // SAFETY: as above.
            return from.IsEmpty || LibC.process_vm_writev((int)thread, &here, 1, &there, 1, 0) == from.Length;
        }
    }

    /// <summary>Whether a caller may change a user's process, as the kernel asks: it is that user, or has a capability.</summary>
    public static bool MayChange(uint thread, uint owner, int capability)
    {
        try
        {
            uint? user = null;
            ulong capabilities = 0;
            foreach (string line in File.ReadLines(string.Create(CultureInfo.InvariantCulture, $"/proc/{thread}/status")))
            {
                string[] parts = line.Split('\t');
                if (parts[0] == "Uid:" && parts.Length > 2)
                {
                    user = uint.Parse(parts[2], CultureInfo.InvariantCulture);
                }
                else if (parts[0] == "CapEff:")
                {
                    capabilities = ulong.Parse(parts[1], NumberStyles.HexNumber, CultureInfo.InvariantCulture);
                }
            }

            return user == owner || (capabilities & (1ul << capability)) != 0;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // Expected: it was killed meanwhile.
            return false;
        }
    }
}
