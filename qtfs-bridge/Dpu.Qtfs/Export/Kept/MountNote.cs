using Dpu.Fuse;
using Dpu.Proto.V1;
using Google.Protobuf;

namespace Dpu.Qtfs.Export.Kept;

/// <summary>What an agent must know to go on with a mount of an earlier life, beside the mount's tables. Immutable.</summary>
internal sealed record MountNote
{
    /// <summary>
    /// The format of this note and of all memory that it goes with. A mount of another one is let go: raise it with every change of
    /// <c>NodeRecord</c>, <c>HandleRecord</c>, <c>ReplyRecord</c>, or of a lock's note.
    /// </summary>
    public const int Format = 2;

    public required string Session { get; init; }

    public required DateTimeOffset SessionStarted { get; init; }

    public required string Peer { get; init; }

    public required DateTimeOffset Started { get; init; }

    public required string Export { get; init; }

    /// <summary><see cref="ExportDefinition.Fingerprint"/> of the export.</summary>
    public required string Policy { get; init; }

    public required FsParameters Parameters { get; init; }

    public required Machine Machine { get; init; }

    public required ulong Life { get; init; }

    public required uint FirstGeneration { get; init; }

    /// <summary>What FUSE_INIT agreed on; null before it.</summary>
    public FuseNegotiation? Negotiation { get; init; }

    private static string Boot => File.ReadAllText("/proc/sys/kernel/random/boot_id").Trim();

    /// <summary>The note of a mount; null where it is of another format or another boot, with the reason.</summary>
    public static MountNote? Read(ReadOnlyMemory<byte> bytes, out string problem)
    {
        problem = "";
        try
        {
            using var reader = new BinaryReader(new MemoryStream(bytes.ToArray()));
            int format = reader.ReadInt32();
            if (format != Format)
            {
                problem = $"it is of format {format}, and this agent knows {Format}";
                return null;
            }

            if (reader.ReadInt32() != PassthroughFileSystem.KeptLayout || reader.ReadString() != Boot)
            {
                problem = "its tables are of another build or of another boot of this machine";
                return null;
            }

            return new MountNote
            {
                Session = reader.ReadString(),
                SessionStarted = new DateTimeOffset(reader.ReadInt64(), TimeSpan.Zero),
                Peer = reader.ReadString(),
                Started = new DateTimeOffset(reader.ReadInt64(), TimeSpan.Zero),
                Export = reader.ReadString(),
                Policy = reader.ReadString(),
                Parameters = FsParameters.Parser.ParseFrom(reader.ReadBytes(reader.ReadInt32())),
                Machine = Machine.Parser.ParseFrom(reader.ReadBytes(reader.ReadInt32())),
                Life = reader.ReadUInt64(),
                FirstGeneration = reader.ReadUInt32(),
                Negotiation = reader.ReadBoolean() ? new FuseNegotiation(reader.ReadUInt32(), reader.ReadUInt64(), reader.ReadUInt32()) : null,
            };
        }
        catch (Exception e) when (e is IOException or InvalidProtocolBufferException or ArgumentException or FormatException)
        {
            // Expected of what another program has put there.
            problem = $"its note is damaged: {e.Message}";
            return null;
        }
    }

    /// <summary>The note as bytes.</summary>
    public byte[] ToBytes()
    {
        using var bytes = new MemoryStream();
        using var writer = new BinaryWriter(bytes);
        writer.Write(Format);
        writer.Write(PassthroughFileSystem.KeptLayout);
        writer.Write(Boot);
        writer.Write(Session);
        writer.Write(SessionStarted.UtcTicks);
        writer.Write(Peer);
        writer.Write(Started.UtcTicks);
        writer.Write(Export);
        writer.Write(Policy);
        Write(writer, Parameters);
        Write(writer, Machine);
        writer.Write(Life);
        writer.Write(FirstGeneration);
        writer.Write(Negotiation is not null);
        if (Negotiation is { } agreed)
        {
            writer.Write(agreed.Minor);
            writer.Write(agreed.Flags);
            writer.Write(agreed.MaxWrite);
        }

        writer.Flush();
        return bytes.ToArray();
    }

    private static void Write(BinaryWriter writer, IMessage message)
    {
        byte[] content = message.ToByteArray();
        writer.Write(content.Length);
        writer.Write(content);
    }
}
