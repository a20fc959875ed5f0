using System.Buffers.Binary;

namespace Dpu.Relay.Descriptors;

/// <summary>
/// What a host tells of a connection to a listening socket that a program of it has passed: the token by which the DPU fetches it (16 bytes), and
/// who has connected, as the export shows users (two of 32 bits, little-endian). The DPU asks for each with one byte. Pure.
/// </summary>
/// <param name="Token">Of the connection.</param>
/// <param name="Uid">The user.</param>
/// <param name="Gid">Its group.</param>
public sealed record ListenerNotice(ReadOnlyMemory<byte> Token, uint Uid, uint Gid)
{
    /// <summary>Its bytes.</summary>
    public const int Size = PassedDescriptor.TokenSize + (2 * sizeof(uint));

    /// <summary>Writes it.</summary>
    public byte[] Write()
    {
        byte[] content = new byte[Size];
        Token.Span[..PassedDescriptor.TokenSize].CopyTo(content);
        BinaryPrimitives.WriteUInt32LittleEndian(content.AsSpan(PassedDescriptor.TokenSize), Uid);
        BinaryPrimitives.WriteUInt32LittleEndian(content.AsSpan(PassedDescriptor.TokenSize + sizeof(uint)), Gid);
        return content;
    }

    /// <summary>Reads <see cref="Size"/> bytes, any of which are one.</summary>
    public static ListenerNotice Read(ReadOnlySpan<byte> content) => new(
        content[..PassedDescriptor.TokenSize].ToArray(),
        BinaryPrimitives.ReadUInt32LittleEndian(content[PassedDescriptor.TokenSize..]),
        BinaryPrimitives.ReadUInt32LittleEndian(content[(PassedDescriptor.TokenSize + sizeof(uint))..]));
}
