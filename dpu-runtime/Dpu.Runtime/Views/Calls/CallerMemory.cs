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

    /// <summary>Copies a text from it, without its NUL; null where it has nothing there, or no NUL in time, and empty for no address.</summary>
    public static byte[]? ReadText(uint thread, ulong address, int most)
    {
        byte[] text = new byte[most];
        int length = 0;
        while (address != 0 && length < most)
        {
            // Page by page: the next one need not be there. 4 KiB are a part of a page everywhere.
            int piece = Math.Min(most - length, 4096 - (int)((address + (ulong)length) & 4095));
            Span<byte> read = text.AsSpan(length, piece);
            if (!TryRead(thread, address + (ulong)length, read))
            {
                return null;
            }

            int end = read.IndexOf((byte)0);
            if (end >= 0)
            {
                return text[..(length + end)];
            }

            length += piece;
        }

        return address == 0 ? [] : null;
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
    public static bool MayChange(uint thread, uint owner, int capability) => WhoIs(thread) is { } who && (who.User == owner || (who.Capabilities & (1ul << capability)) != 0);

    /// <summary>Whether a caller has a capability that counts outside of user namespaces.</summary>
    public static bool Has(uint thread, int capability) =>
        WhoIs(thread) is { } who && (who.Capabilities & (1ul << capability)) != 0 && ViewInit.NamespaceOf((int)thread, "user") is { Length: > 0 } there && there == ViewInit.NamespaceOf(Environment.ProcessId, "user");

    private static (uint User, ulong Capabilities)? WhoIs(uint thread)
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

            return user is { } known ? (known, capabilities) : null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // Expected: it was killed meanwhile.
            return null;
        }
    }
}
