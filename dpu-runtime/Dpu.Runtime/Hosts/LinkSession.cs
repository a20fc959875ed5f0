using System.Buffers.Binary;
using System.Security.Cryptography;

namespace Dpu.Runtime.Hosts;

/// <summary>The session of a runtime with a host: the host has the mounts under it. Runtimes that take each other's place share it.</summary>
/// <param name="Id">16 random bytes.</param>
/// <param name="Started">When it began.</param>
public sealed record LinkSession(ReadOnlyMemory<byte> Id, DateTimeOffset Started)
{
    private const int IdSize = 16;

    /// <summary>A new one.</summary>
    public static LinkSession Begin(DateTimeOffset now) => new(RandomNumberGenerator.GetBytes(IdSize), now);

    /// <summary>As it lies with the keeper; null where the note is none.</summary>
    public static LinkSession? Read(ReadOnlySpan<byte> note) =>
        note.Length == IdSize + sizeof(long) && BinaryPrimitives.ReadInt64LittleEndian(note[IdSize..]) is >= 0 and var ticks && ticks <= DateTimeOffset.MaxValue.UtcTicks
            ? new LinkSession(note[..IdSize].ToArray(), new DateTimeOffset(ticks, TimeSpan.Zero))
            : null;

    /// <summary>What <see cref="Read"/> reads.</summary>
    public byte[] ToNote()
    {
        byte[] note = new byte[IdSize + sizeof(long)];
        Id.Span.CopyTo(note);
        BinaryPrimitives.WriteInt64LittleEndian(note.AsSpan(IdSize), Started.UtcTicks);
        return note;
    }
}
