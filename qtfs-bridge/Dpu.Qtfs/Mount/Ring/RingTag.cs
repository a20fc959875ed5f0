namespace Dpu.Qtfs.Mount.Ring;

/// <summary>What a ring lane asks of its ring beside FUSE's requests: which link, of which connection, and what.</summary>
internal static class RingTag
{
    /// <summary>Bytes have come into the connection's buffer.</summary>
    public const uint Received = 0;

    /// <summary>Bytes can be received.</summary>
    public const uint MayReceive = 1;

    /// <summary>The socket takes bytes again.</summary>
    public const uint MaySend = 2;

    /// <summary>Packs the three: 8, 16 and 8 bits.</summary>
    public static uint Pack(uint link, uint generation, uint what) => (link << 24) | ((generation & 0xffff) << 8) | what;

    /// <summary>Takes them apart.</summary>
    public static (uint Link, uint Generation, uint What) Unpack(uint tag) => (tag >> 24, (tag >> 8) & 0xffff, tag & 0xff);
}
