using System.Globalization;
using Dpu.Ctl.Output;
using Dpu.Proto.V1;

namespace Dpu.Ctl.Statistics;

/// <summary>What <c>dpuctl top</c> shows at one time. Pure.</summary>
internal static class TopView
{
    private const int Gap = 2;
    private const int LeastTitle = 12;

    // Which column goes first where the window is too narrow, by its heading.
    private static readonly string[] _dropped = ["SOURCE", "MEAN", "ERR/S", "IN-FLIGHT", "TO-HOST", "FROM-HOST", "LINK"];

    /// <summary>The lines of a frame.</summary>
    /// <param name="mounts">What each mount did.</param>
    /// <param name="now">The time to show.</param>
    /// <param name="problem">Why there is nothing newer; null where there is.</param>
    /// <param name="width">Characters of a line at most; null for as many as it takes.</param>
    /// <param name="height">Lines at most; null for all.</param>
    /// <param name="withColor">Whether colours may be used.</param>
    public static IReadOnlyList<string> Lines(
        IReadOnlyCollection<MountInterval> mounts, DateTimeOffset now, string? problem, int? width, int? height, bool withColor)
    {
        int room = Math.Max(1, width ?? int.MaxValue);
        var lines = new List<string> { Cut(Summary(mounts, now), room) };
        if (problem is not null)
        {
            lines.Add(Colored(new Cell(Cut(Human.Clean(problem), room), CellStyle.Bad), withColor));
        }

        Column[] columns = Fit(Columns(mounts), room);
        lines.Add(Line(columns, [.. columns.Select(c => new Cell(c.Heading))], room, withColor: false));
        MountInterval[] sorted = [.. mounts.OrderByDescending(m => m.Rate(m.Total.Requests) ?? 0).ThenBy(m => m.Sample.Title, StringComparer.Ordinal)];
        int shown = height is { } most && sorted.Length > most - lines.Count ? Math.Max(0, most - lines.Count - 1) : sorted.Length;
        lines.AddRange(sorted.Take(shown).Select(mount => Line(columns, [.. columns.Select(c => c.Value(mount))], room, withColor)));
        if (shown < sorted.Length)
        {
            lines.Add(Cut(string.Create(CultureInfo.InvariantCulture, $"… {sorted.Length - shown} more"), room));
        }

        return height is { } limit ? lines[..Math.Min(lines.Count, Math.Max(1, limit))] : lines;
    }

    private static string Summary(IReadOnlyCollection<MountInterval> mounts, DateTimeOffset now)
    {
        double Sum(Func<MountInterval, double?> value) => mounts.Sum(mount => value(mount) ?? 0);
        return string.Create(
            CultureInfo.InvariantCulture,
            $"dpuctl top {now:HH:mm:ss}Z  {mounts.Count} mounts, {mounts.Count(m => m.Sample.Link == LinkState.Up)} linked; {Human.Rate(Sum(m => m.Rate(m.Total.Requests)))}, to host {Human.ByteRate(Sum(m => m.Rate(m.Total.RequestBytes)))}, from host {Human.ByteRate(Sum(m => m.Rate(m.Total.ReplyBytes)))}");
    }

    private static Column[] Columns(IReadOnlyCollection<MountInterval> mounts)
    {
        Column Of(string heading, Func<MountInterval, Cell> value, bool isNumber = true) => new(
            heading, mounts.Select(m => value(m).Text.Length).Append(heading.Length).Max(), isNumber, value);
        return
        [
            Of("MOUNT", static m => m.Sample.Title, isNumber: false),
            Of("SOURCE", static m => m.Sample.Source, isNumber: false),
            Of("LINK", static m => States.Cell(m.Sample.Link), isNumber: false),
            Of("REQ/S", static m => Rate(m, m.Total.Requests)),
            Of("TO-HOST", static m => Human.ByteRate(m.Rate(m.Total.RequestBytes))),
            Of("FROM-HOST", static m => Human.ByteRate(m.Rate(m.Total.ReplyBytes))),
            Of("ERR/S", static m => new Cell(Rate(m, m.Total.Errors))),
            Of("MEAN", static m => Human.Latency(m.Total.Mean)),
            Of("P99", static m => Human.Latency(m.Total.P99)),
            Of("IN-FLIGHT", static m => m.Total.InFlight.ToString(CultureInfo.InvariantCulture)),
        ];
    }

    private static string Rate(MountInterval mount, ulong count) => Human.Rate(mount.Rate(count)).Replace("/s", string.Empty, StringComparison.Ordinal);

    private static Column[] Fit(Column[] columns, int room)
    {
        static int Width(IReadOnlyCollection<Column> all) => all.Sum(c => c.Width) + (Gap * (all.Count - 1));
        foreach (string heading in _dropped)
        {
            if (Width(columns) - columns[0].Width + Math.Min(columns[0].Width, LeastTitle) <= room)
            {
                break;
            }

            columns = [.. columns.Where(c => c.Heading != heading)];
        }

        int title = Math.Clamp(room - (Width(columns) - columns[0].Width), Math.Min(columns[0].Width, LeastTitle), columns[0].Width);
        columns[0] = columns[0] with { Width = title };
        return columns;
    }

    private static string Line(Column[] columns, Cell[] cells, int room, bool withColor)
    {
        var line = new System.Text.StringBuilder();
        int used = 0;
        for (int i = 0; i < columns.Length && used < room; i++)
        {
            Column column = columns[i];
            bool isLast = i == columns.Length - 1;
            string text = Shorten(cells[i].Text, column.Width);
            string padding = new(' ', column.Width - text.Length);
            string shown = column.IsNumber ? padding + text : isLast ? text : text + padding;
            shown = Cut(shown, room - used);
            _ = line.Append(Colored(new Cell(shown, cells[i].Style), withColor));
            used += shown.Length;
            if (!isLast)
            {
                string gap = new(' ', Math.Min(Gap, room - used));
                _ = line.Append(gap);
                used += gap.Length;
            }
        }

        return line.ToString();
    }

    // What tells paths apart is at their end.
    private static string Shorten(string text, int width) => text.Length <= width ? text : "…" + text[(text.Length - width + 1)..];

    private static string Cut(string text, int room) => text.Length <= room ? text : text[..Math.Max(0, room)];

    private static string Colored(Cell cell, bool withColor) => (withColor ? cell.Style : CellStyle.Plain) switch
    {
        CellStyle.Good => $"\x1b[32m{cell.Text}\x1b[0m",
        CellStyle.Doubtful => $"\x1b[33m{cell.Text}\x1b[0m",
        CellStyle.Bad => $"\x1b[31m{cell.Text}\x1b[0m",
        _ => cell.Text,
    };

    private sealed record Column(string Heading, int Width, bool IsNumber, Func<MountInterval, Cell> Value);
}
