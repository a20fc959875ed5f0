using System.Globalization;
using System.Text;

namespace Dpu.TestSupport;

/// <summary>The mounts that this process sees (proc_pid_mountinfo(5)). Thread-safe.</summary>
public static class MountTable
{
    /// <summary>Where something is mounted, in the order of mounting; a target with two mounts is there twice.</summary>
    public static IReadOnlyList<string> Targets() => Parse(File.ReadAllText("/proc/self/mountinfo"));

    /// <summary>The targets of a mountinfo text: its fifth column, with the octal escapes undone.</summary>
    public static IReadOnlyList<string> Parse(string mountInfo)
    {
        List<string> targets = [];
        foreach (string line in mountInfo.Split('\n'))
        {
            string[] columns = line.Split(' ');
            if (columns.Length > 4)
            {
                targets.Add(Unescape(columns[4]));
            }
        }

        return targets;
    }

    // The kernel writes space, tab, newline and backslash as \ooo.
    private static string Unescape(string text)
    {
        if (!text.Contains('\\', StringComparison.Ordinal))
        {
            return text;
        }

        StringBuilder result = new();
        for (int i = 0; i < text.Length; i++)
        {
            if (text[i] == '\\' && i + 3 < text.Length
                && text.AsSpan(i + 1, 3).IndexOfAnyExceptInRange('0', '7') < 0)
            {
                result.Append((char)(((text[i + 1] - '0') * 64) + ((text[i + 2] - '0') * 8) + (text[i + 3] - '0')));
                i += 3;
            }
            else
            {
                result.Append(text[i]);
            }
        }

        return result.ToString();
    }

    /// <summary>Describes a target for messages.</summary>
    internal static string Describe(string target, int count) =>
        count == 1 ? $"mount {target}" : string.Create(CultureInfo.InvariantCulture, $"mount {target} ({count} times)");
}
