namespace Dpu.EndToEnd.Tests.Lab;

/// <summary>Programs in Python at the ends of a FIFO <c>fifo</c>, which say what becomes of them.</summary>
internal static class FifoPrograms
{
    /// <summary>Reads twice: what comes, and what is behind it.</summary>
    public const string Reader = "say('ready'); f = os.open('fifo', os.O_RDONLY); say(os.read(f, 10)); say(os.read(f, 10))";

    /// <summary>Writes, waits until nobody reads any more, and tries to write once more.</summary>
    public const string Writer =
        """
        say('ready'); f = os.open('fifo', os.O_WRONLY); os.write(f, b'hello')
        p = select.poll(); p.register(f, 0); say(p.poll(25000) != [])
        attempt('write', lambda: os.write(f, b'x'))
        """;
}
