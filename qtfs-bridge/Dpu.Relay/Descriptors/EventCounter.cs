using System.Buffers.Text;
using System.Globalization;

namespace Dpu.Relay.Descriptors;

/// <summary>What the kernel says of a counter of eventfd(2) without taking from it (proc_pid_fdinfo(5)).</summary>
internal static class EventCounter
{
    /// <summary>What a counter's link in /proc/PID/fd is.</summary>
    public const string Link = "anon_inode:[eventfd]";

    /// <summary>What is said.</summary>
    /// <param name="Count">What it has.</param>
    /// <param name="Semaphore">EFD_SEMAPHORE.</param>
    /// <param name="Id">The counter's number, of this machine and while somebody has it (Linux 5.2); -1 where it is not said.</param>
    public readonly record struct Facts(ulong Count, bool Semaphore, long Id);

    /// <summary>Where it is said of a descriptor of this process.</summary>
    public static string PathOf(int descriptor) => string.Create(CultureInfo.InvariantCulture, $"/proc/self/fdinfo/{descriptor}");

    /// <summary>Reads it; what is not said is 0 and false.</summary>
    public static Facts Look(int descriptor) => Look(PathOf(descriptor));

    /// <summary>Reads it of any process; what is not said is 0 and false.</summary>
    public static Facts Look(string path)
    {
        try
        {
            return Parse(File.ReadAllBytes(path));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // Expected: a system without /proc, or it is gone.
            return new Facts(0, false, -1);
        }
    }

    /// <summary>Reads it in the file's text. Pure.</summary>
    public static Facts Parse(ReadOnlySpan<byte> text)
    {
        var facts = new Facts(0, false, -1);
        foreach (Range range in text.Split((byte)'\n'))
        {
            ReadOnlySpan<byte> line = text[range];
            int colon = line.IndexOf((byte)':');
            if (colon < 0)
            {
                continue;
            }

            ReadOnlySpan<byte> value = line[(colon + 1)..].Trim(" \t"u8);
            if (line[..colon].SequenceEqual("eventfd-count"u8) && Utf8Parser.TryParse(value, out ulong count, out _, 'x'))
            {
                facts = facts with { Count = count };
            }
            else if (line[..colon].SequenceEqual("eventfd-semaphore"u8))
            {
                facts = facts with { Semaphore = value.SequenceEqual("1"u8) };
            }
            else if (line[..colon].SequenceEqual("eventfd-id"u8) && Utf8Parser.TryParse(value, out long id, out _))
            {
                facts = facts with { Id = id };
            }
        }

        return facts;
    }
}
