namespace Dpu.Flows.Text;

/// <summary>Takes text apart at commas and spaces that no bracket encloses. Pure.</summary>
internal static class Pieces
{
    /// <summary>The pieces, without empty ones. An unbalanced bracket is an error.</summary>
    internal static List<string> Split(ReadOnlySpan<char> text, bool atSpaces = true)
    {
        List<string> pieces = [];
        int depth = 0, begin = 0;
        for (int i = 0; i <= text.Length; i++)
        {
            char c = i < text.Length ? text[i] : ',';
            depth += c is '(' or '{' or '[' ? 1 : c is ')' or '}' or ']' ? -1 : 0;
            if (depth < 0 || (i == text.Length && depth > 0))
            {
                throw new FlowTextException($"'{Short(text)}' has brackets that do not belong together");
            }

            if (depth == 0 && (c == ',' || (atSpaces && char.IsWhiteSpace(c))))
            {
                ReadOnlySpan<char> piece = text[begin..i].Trim();
                begin = i + 1;
                if (piece.Length > 0)
                {
                    pieces.Add(piece.ToString());
                }
            }
        }

        return pieces;
    }

    /// <summary>A name and what follows: "name=value", "name(value)", "name:value", or the name alone with an empty value.</summary>
    internal static (string Name, string Value) Pair(string piece)
    {
        int at = piece.AsSpan().IndexOfAny('=', '(', ':');
        if (at < 0)
        {
            return (piece, "");
        }

        if (piece[at] != '(')
        {
            return (piece[..at].Trim(), piece[(at + 1)..].Trim());
        }

        return piece.EndsWith(')') ? (piece[..at].Trim(), piece[(at + 1)..^1].Trim()) : throw new FlowTextException($"'{Short(piece)}' is not closed by ')'");
    }

    internal static string Short(ReadOnlySpan<char> text) => text.Length <= 60 ? text.ToString() : string.Concat(text[..57], "...");
}
