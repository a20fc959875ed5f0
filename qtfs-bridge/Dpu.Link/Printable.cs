namespace Dpu.Link;

/// <summary>Makes a peer's text fit for logs and terminals: a hostile peer must not write escape sequences there.</summary>
public static class Printable
{
    /// <summary>At most <paramref name="maximum"/> characters; control, format, surrogate and unassigned ones become '?'.</summary>
    public static string Clean(string? text, int maximum)
    {
        text ??= "";
        var length = Math.Min(text.Length, maximum);
        return string.Create(length, text, static (target, source) =>
        {
            for (var i = 0; i < target.Length; i++)
            {
                target[i] = IsPlain(source[i]) ? source[i] : '?';
            }
        });
    }

    private static bool IsPlain(char c) => char.GetUnicodeCategory(c) is not (System.Globalization.UnicodeCategory.Control
        or System.Globalization.UnicodeCategory.Format
        or System.Globalization.UnicodeCategory.Surrogate
        or System.Globalization.UnicodeCategory.PrivateUse
        or System.Globalization.UnicodeCategory.OtherNotAssigned
        or System.Globalization.UnicodeCategory.LineSeparator
        or System.Globalization.UnicodeCategory.ParagraphSeparator);
}
