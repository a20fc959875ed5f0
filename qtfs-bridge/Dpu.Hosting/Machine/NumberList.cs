using System.Globalization;

namespace Dpu.Hosting.Machine;

/// <summary>Lists of processors or NUMA nodes as the kernel writes them (cpuset(7), "List format"): <c>0-3,8</c>; and as masks. Pure.</summary>
public static class NumberList
{
    /// <summary>One above the highest processor: more than CONFIG_NR_CPUS of the distributions' kernels lets be numbered there.</summary>
    public const int MaxProcessors = 4096;

    /// <summary>One above the highest node: the most that any architecture has (NODES_SHIFT 10).</summary>
    public const int MaxNodes = 1024;

    /// <summary>Reads a list.</summary>
    /// <param name="text">It, without spaces.</param>
    /// <param name="end">One above the highest number that there may be.</param>
    /// <returns>The numbers, ascending, at least one; null where it is no list.</returns>
    public static IReadOnlyList<int>? TryParse(string text, int end)
    {
        ArgumentNullException.ThrowIfNull(text);
        var found = new SortedSet<int>();
        foreach (string part in text.Split(','))
        {
            string[] ends = part.Split('-');
            if (ends.Length > 2 || !TryNumber(ends[0], end, out int first) || !TryNumber(ends[^1], end, out int last) || last < first)
            {
                return null;
            }

            found.UnionWith(Enumerable.Range(first, last - first + 1));
        }

        return [.. found];
    }

    /// <summary>Writes numbers as a list; "none" where there are none.</summary>
    /// <param name="numbers">Ascending, each once.</param>
    public static string Format(IReadOnlyList<int> numbers)
    {
        ArgumentNullException.ThrowIfNull(numbers);
        List<string> parts = [];
        for (int i = 0; i < numbers.Count;)
        {
            int first = i++;
            while (i < numbers.Count && numbers[i] == numbers[i - 1] + 1)
            {
                i++;
            }

            parts.Add(numbers[first].ToString(CultureInfo.InvariantCulture) + (i - first == 1 ? "" : $"-{numbers[i - 1].ToString(CultureInfo.InvariantCulture)}"));
        }

        return parts.Count == 0 ? "none" : string.Join(',', parts);
    }

    /// <summary>A bit a number, as sched_setaffinity(2) and set_mempolicy(2) of little-endian machines take it: whole words of 8 bytes.</summary>
    public static byte[] ToMask(IReadOnlyList<int> numbers)
    {
        ArgumentNullException.ThrowIfNull(numbers);
        byte[] mask = new byte[8 * ((numbers.DefaultIfEmpty(0).Max() / 64) + 1)];
        foreach (int number in numbers)
        {
            mask[number / 8] |= (byte)(1 << (number % 8));
        }

        return mask;
    }

    private static bool TryNumber(string text, int end, out int number) => int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out number) && number < end;
}
