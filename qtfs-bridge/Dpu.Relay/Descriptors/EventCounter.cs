using System.Globalization;

namespace Dpu.Relay.Descriptors;

/// <summary>What the kernel says of a counter of eventfd(2) without taking from it (proc_pid_fdinfo(5)).</summary>
internal static class EventCounter
{
    /// <summary>Reads it; what is not said is 0 and false.</summary>
    public static (long Count, bool Semaphore) Look(int descriptor)
    {
        try
        {
            return Parse(File.ReadAllText(string.Create(CultureInfo.InvariantCulture, $"/proc/self/fdinfo/{descriptor}")));
        }
        catch (IOException)
        {
            // Expected: a system without /proc.
            return (0, false);
        }
    }

    /// <summary>Reads it in the file's text. Pure.</summary>
    public static (long Count, bool Semaphore) Parse(string text)
    {
        (long count, bool semaphore) = (0L, false);
        foreach (string line in text.Split('\n'))
        {
            string[] words = line.Split(':', 2, StringSplitOptions.TrimEntries);
            if (words.Length == 2 && words[0] == "eventfd-count" && ulong.TryParse(words[1], NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out ulong number))
            {
                count = (long)Math.Min(number, long.MaxValue);
            }
            else if (words.Length == 2 && words[0] == "eventfd-semaphore")
            {
                semaphore = words[1] == "1";
            }
        }

        return (count, semaphore);
    }
}
