using System.Runtime.CompilerServices;

namespace Dpu.Fuse;

/// <summary>Where the reply's payload goes: the bytes after <c>fuse_out_header</c>.</summary>
/// <param name="payload">The first byte.</param>
/// <param name="capacity">How many bytes fit.</param>
internal readonly unsafe ref struct FuseReply(byte* payload, int capacity)
{
    internal byte* Payload { get; } = payload;

    internal int Capacity { get; } = capacity;

    /// <summary>The first bytes, at most <paramref name="size"/> and at most what fits.</summary>
    /// <remarks>SAFETY: bounded by the capacity.</remarks>
    internal Span<byte> Span(uint size) => new(Payload, (int)Math.Min(size, (uint)Capacity));

    /// <summary>Puts a struct at the payload's start and returns its size. That it fits was checked before the call.</summary>
    internal int Put<T>(in T value) where T : unmanaged
    {
        Check(sizeof(T));

        // SAFETY: it fits; the address need not be aligned.
        Unsafe.WriteUnaligned(Payload, value);
        return sizeof(T);
    }

    /// <summary>Puts two structs, one after the other, and returns their size.</summary>
    internal int Put<T1, T2>(in T1 first, in T2 second) where T1 : unmanaged where T2 : unmanaged
    {
        Check(sizeof(T1) + sizeof(T2));

        // SAFETY: both fit; the addresses need not be aligned.
        Unsafe.WriteUnaligned(Payload, first);
        Unsafe.WriteUnaligned(Payload + sizeof(T1), second);
        return sizeof(T1) + sizeof(T2);
    }

    private void Check(int size)
    {
        if (size > Capacity)
        {
            ThrowTooSmall(size);
        }
    }

    private void ThrowTooSmall(int size) =>
        throw new InvalidOperationException($"A reply of {size} bytes does not fit into {Capacity}: its opcode is missing in the table of fixed sizes.");
}
