using System.Globalization;

namespace Dpu.Ctl.Output;

/// <summary>Text in aligned columns under upper-case headings. Not thread-safe.</summary>
internal sealed class Table(params string[] headings)
{
    private const int Gap = 2;

    private readonly List<Cell[]> _rows = [];

    public void Add(params Cell[] cells)
    {
        if (cells.Length != headings.Length)
        {
            throw new ArgumentException($"A row has {cells.Length} cells under {headings.Length} headings.", nameof(cells));
        }

        _rows.Add(cells);
    }

    public void WriteTo(TextWriter output, bool withColor)
    {
        int[] widths = [.. headings.Select((h, i) => Math.Max(Width(h), _rows.Select(r => Width(r[i].Text)).DefaultIfEmpty().Max()))];
        Line(output, [.. headings.Select(h => new Cell(h))], widths, withColor: false);
        _rows.ForEach(row => Line(output, row, widths, withColor));
    }

    private static void Line(TextWriter output, Cell[] cells, int[] widths, bool withColor)
    {
        for (int i = 0; i < cells.Length; i++)
        {
            Cell cell = cells[i];
            string color = withColor ? cell.Style switch
            {
                CellStyle.Good => "\x1b[32m",
                CellStyle.Doubtful => "\x1b[33m",
                CellStyle.Bad => "\x1b[31m",
                _ => string.Empty,
            } : string.Empty;
            output.Write(color);
            output.Write(cell.Text);
            output.Write(color.Length > 0 ? "\x1b[0m" : string.Empty);
            if (i < cells.Length - 1)
            {
                output.Write(new string(' ', widths[i] - Width(cell.Text) + Gap));
            }
        }

        output.WriteLine();
    }

    private static int Width(string text) => new StringInfo(text).LengthInTextElements;
}

/// <summary>What a cell's text means, for its colour.</summary>
internal enum CellStyle
{
    Plain,
    Good,
    Doubtful,
    Bad,
}

/// <summary>One cell; its text is cleaned of what could steer a terminal.</summary>
internal readonly record struct Cell
{
    public Cell(string? text, CellStyle style = CellStyle.Plain)
    {
        Text = Human.Clean(text) is { Length: > 0 } clean ? clean : "-";
        Style = style;
    }

    public string Text { get; }

    public CellStyle Style { get; }

    public static implicit operator Cell(string? text) => new(text);
}
