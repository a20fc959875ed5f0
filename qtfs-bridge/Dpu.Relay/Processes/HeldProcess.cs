using System.Buffers.Binary;
using System.Diagnostics.CodeAnalysis;
using System.Text;
using Dpu.Keeper;

namespace Dpu.Relay.Processes;

/// <summary>
/// A process that a host has for a DPU which has no connection to it: for one that knows nothing of it any more, as after its reboot. 16 bytes token, 4 number, 4 uid
/// at the host, 8 when it was begun (ms since 1970), 1 whether it was left running, 1 number of streams, 2 zero; 16 for each stream (4 descriptor, 1 state, 3 zero,
/// 8 position); then its arguments. Little-endian. Pure.
/// </summary>
/// <param name="Token">Its name.</param>
/// <param name="Number">Its number at the host.</param>
/// <param name="Uid">As whom it runs there.</param>
/// <param name="Since">When it was begun, in ms since 1970.</param>
/// <param name="IsLeft">Whether another one has left it running.</param>
/// <param name="Streams">How its streams stand at the host.</param>
/// <param name="Command">Its arguments, for people.</param>
public sealed record HeldProcess(Guid Token, int Number, uint Uid, long Since, bool IsLeft, IReadOnlyList<HeldStream> Streams, string Command)
{
    /// <summary>The longest, bytes.</summary>
    internal const int MaxSize = HeaderSize + (ProcessFrame.MaxStreams * StreamSize) + MaxCommand;

    internal const int HeaderSize = process.PROCESS_TOKEN_SIZE + 20;

    private const int StreamSize = 16;
    private const int MaxCommand = 4096;
    private const HeldStreamState AllStates = HeldStreamState.Sends | HeldStreamState.Terminal | HeldStreamState.AtEnd | HeldStreamState.Over;

    // 31 December 9999: what is later is no time of .NET's.
    private const long MostSince = 253_402_300_799_999;

    /// <summary>As a frame has it; a long command is cut.</summary>
    public byte[] ToBytes()
    {
        byte[] command = Encoding.UTF8.GetBytes(Command);
        int length = Math.Min(command.Length, MaxCommand);
        byte[] bytes = new byte[HeaderSize + (Streams.Count * StreamSize) + length];
        _ = Token.TryWriteBytes(bytes);
        Span<byte> rest = bytes.AsSpan(process.PROCESS_TOKEN_SIZE);
        BinaryPrimitives.WriteInt32LittleEndian(rest, Number);
        BinaryPrimitives.WriteUInt32LittleEndian(rest[4..], Uid);
        BinaryPrimitives.WriteInt64LittleEndian(rest[8..], Since);
        (rest[16], rest[17]) = (IsLeft ? (byte)1 : (byte)0, (byte)Streams.Count);
        rest = rest[20..];
        foreach (HeldStream stream in Streams)
        {
            BinaryPrimitives.WriteInt32LittleEndian(rest, stream.Number);
            rest[4] = (byte)stream.State;
            BinaryPrimitives.WriteUInt64LittleEndian(rest[8..], stream.Position);
            rest = rest[StreamSize..];
        }

        command.AsSpan(0, length).CopyTo(rest);
        return bytes;
    }

    /// <summary>Reads one; false where it is none.</summary>
    public static bool TryRead(ReadOnlySpan<byte> bytes, [NotNullWhen(true)] out HeldProcess? held)
    {
        held = null;
        if (bytes.Length is < HeaderSize or > MaxSize)
        {
            return false;
        }

        ReadOnlySpan<byte> rest = bytes[process.PROCESS_TOKEN_SIZE..];
        int number = BinaryPrimitives.ReadInt32LittleEndian(rest);
        long since = BinaryPrimitives.ReadInt64LittleEndian(rest[8..]);
        int count = rest[17];
        if (number <= 0 || since is < 0 or > MostSince || rest[16] > 1 || count > ProcessFrame.MaxStreams || rest.Length < 20 + (count * StreamSize))
        {
            return false;
        }

        (uint uid, bool isLeft) = (BinaryPrimitives.ReadUInt32LittleEndian(rest[4..]), rest[16] == 1);
        rest = rest[20..];
        var streams = new HeldStream[count];
        for (int i = 0; i < count; i++)
        {
            streams[i] = new(BinaryPrimitives.ReadInt32LittleEndian(rest), (HeldStreamState)rest[4], BinaryPrimitives.ReadUInt64LittleEndian(rest[8..]));
            if (streams[i].Number < 0 || (streams[i].State & ~AllStates) != 0 || streams[i].Position >= JournaledPipe.Going)
            {
                return false;
            }

            rest = rest[StreamSize..];
        }

        held = new(new Guid(bytes[..process.PROCESS_TOKEN_SIZE]), number, uid, since, isLeft, streams, Link.Printable.Clean(Encoding.UTF8.GetString(rest), MaxCommand));
        return true;
    }
}
