using System.Security.Cryptography;

namespace Dpu.Reconciler.Records;

/// <summary>
/// 64-bit hashes under a key that each process draws anew, so that nobody can choose flows that collide. Good within one
/// process only. Thread-safe.
/// </summary>
internal static class RecordHash
{
    private static readonly ulong _key = BitConverter.ToUInt64(RandomNumberGenerator.GetBytes(8));
    private static readonly ulong _multiplier = BitConverter.ToUInt64(RandomNumberGenerator.GetBytes(8)) | 1;

    /// <summary>Adds a word to a hash.</summary>
    internal static ulong Add(ulong hash, ulong word)
    {
        ulong high = Math.BigMul(hash ^ word ^ _key, _multiplier, out ulong low);
        return (high ^ low) + (word * 0x9e3779b97f4a7c15);
    }

    /// <summary>The hash of a data path's name of a flow.</summary>
    internal static ulong OfUfid(UInt128 ufid) => Add(Add(16, (ulong)ufid), (ulong)(ufid >> 64));

    /// <summary>The same of its text, in whatever form; equal texts have equal hashes.</summary>
    internal static ulong OfUfid(string text) => Dpu.Flows.Text.Ufid.TryParse(text, out UInt128 ufid) ? OfUfid(ufid) : Of(System.Runtime.InteropServices.MemoryMarshal.AsBytes(text.AsSpan()));

    /// <summary>The hash of bytes.</summary>
    internal static ulong Of(ReadOnlySpan<byte> bytes)
    {
        ulong hash = (ulong)bytes.Length;
        for (; bytes.Length >= 8; bytes = bytes[8..])
        {
            hash = Add(hash, BitConverter.ToUInt64(bytes));
        }

        ulong rest = 0;
        foreach (byte b in bytes)
        {
            rest = (rest << 8) | b;
        }

        return Add(hash, rest);
    }
}
