using System.Text;

namespace Dpu.Runtime.Views.Calls;

/// <summary>The data of mount(2) as words with commas between. Pure.</summary>
internal static class MountData
{
    /// <summary>The words, and behind their first equals sign what they are said to be.</summary>
    /// <param name="data">The text, without a NUL.</param>
    /// <param name="escapes">Whether a backslash takes the meaning of what follows it, as overlayfs has it; both stay.</param>
    public static IReadOnlyList<(string Key, byte[]? Value)> Split(ReadOnlySpan<byte> data, bool escapes)
    {
        List<(string, byte[]?)> words = [];
        int begin = 0;
        for (int at = 0; at <= data.Length; at++)
        {
            if (escapes && at + 1 < data.Length && data[at] == '\\')
            {
                at++;
                continue;
            }

            if (at < data.Length && data[at] != ',')
            {
                continue;
            }

            ReadOnlySpan<byte> word = data[begin..at];
            begin = at + 1;
            if (!word.IsEmpty)
            {
                int equals = word.IndexOf((byte)'=');
                words.Add((Encoding.UTF8.GetString(equals < 0 ? word : word[..equals]), equals < 0 ? null : word[(equals + 1)..].ToArray()));
            }
        }

        return words;
    }

    /// <summary>The paths of <c>lowerdir</c>: with colons between, two before the first that has data only; null where one is empty.</summary>
    public static IReadOnlyList<(byte[] Path, bool DataOnly)>? Layers(ReadOnlySpan<byte> value)
    {
        List<(byte[], bool)> layers = [];
        List<byte> path = [];
        bool dataOnly = false;
        for (int at = 0; at <= value.Length; at++)
        {
            if (at < value.Length && value[at] == '\\' && at + 1 < value.Length)
            {
                path.Add(value[++at]);
                continue;
            }

            if (at < value.Length && value[at] != ':')
            {
                path.Add(value[at]);
                continue;
            }

            if (path.Count == 0)
            {
                return null;
            }

            layers.Add(([.. path], dataOnly));
            path.Clear();
            if (at + 1 < value.Length && value[at] == ':' && value[at + 1] == ':')
            {
                dataOnly = true;
                at++;
            }
        }

        return layers;
    }

    /// <summary>One path, without its backslashes.</summary>
    public static byte[] Path(ReadOnlySpan<byte> value)
    {
        List<byte> path = [];
        for (int at = 0; at < value.Length; at++)
        {
            at += value[at] == '\\' && at + 1 < value.Length ? 1 : 0;
            path.Add(value[at]);
        }

        return [.. path];
    }
}
