using System.Buffers.Binary;
using Dpu.Keeper;

namespace Dpu.Relay.Processes;

/// <summary>A process that another one has left running, by its token, and a number: its own, or that of who stands for it. To a stub and on the link. Pure.</summary>
/// <param name="Token">Its name.</param>
/// <param name="Number">0 for none.</param>
/// <param name="Error">The errno of why the number is not the one that was wanted; 0 where it is.</param>
public readonly record struct ProcessStandIn(Guid Token, int Number, int Error = 0)
{
    /// <summary>Bytes of it in a frame.</summary>
    public const int Size = process.PROCESS_TOKEN_SIZE + (2 * sizeof(int));

    /// <summary>As a frame has it.</summary>
    public byte[] ToBytes()
    {
        byte[] bytes = new byte[Size];
        _ = Token.TryWriteBytes(bytes);
        BinaryPrimitives.WriteInt32LittleEndian(bytes.AsSpan(process.PROCESS_TOKEN_SIZE), Number);
        BinaryPrimitives.WriteInt32LittleEndian(bytes.AsSpan(process.PROCESS_TOKEN_SIZE + sizeof(int)), Error);
        return bytes;
    }

    /// <summary>Reads one; false where it has another size, or a number that no process has.</summary>
    public static bool TryRead(ReadOnlySpan<byte> bytes, out ProcessStandIn standIn)
    {
        standIn = default;
        if (bytes.Length != Size)
        {
            return false;
        }

        standIn = new(
            new Guid(bytes[..process.PROCESS_TOKEN_SIZE]),
            BinaryPrimitives.ReadInt32LittleEndian(bytes[process.PROCESS_TOKEN_SIZE..]),
            BinaryPrimitives.ReadInt32LittleEndian(bytes[(process.PROCESS_TOKEN_SIZE + sizeof(int))..]));
        return standIn.Number >= 0;
    }
}
