using System.CommandLine;
using System.CommandLine.Parsing;

namespace Dpu.Ctl.Commands;

/// <summary>Commands that report again and again.</summary>
internal static class Repeat
{
    /// <summary>Does something once, or each interval until it was done <paramref name="count"/> times or Ctrl-C.</summary>
    public static async Task RunAsync(TimeSpan? interval, int? count, Func<Task> report, CancellationToken cancellation)
    {
        try
        {
            for (int done = 0; ;)
            {
                await report().ConfigureAwait(false);
                if (interval is not { } time || ++done == count)
                {
                    return;
                }

                await Task.Delay(time, TimeProvider.System, cancellation).ConfigureAwait(false);
            }
        }
        catch (Exception e) when (interval is not null && cancellation.IsCancellationRequested && e is OperationCanceledException or Grpc.Core.RpcException { StatusCode: Grpc.Core.StatusCode.Cancelled })
        {
            // Expected: Ctrl-C is how one ends what would go on.
            return;
        }
    }
}

/// <summary>Options that count reports.</summary>
internal static class Counts
{
    public static Option<int?> Option(string description) => new("--count", "-n")
    {
        Description = description,
        HelpName = "N",
        CustomParser = Parse,
    };

    private static int? Parse(ArgumentResult result)
    {
        string text = string.Join(' ', result.Tokens.Select(t => t.Value));
        if (int.TryParse(text, System.Globalization.NumberStyles.None, System.Globalization.CultureInfo.InvariantCulture, out int count) && count > 0)
        {
            return count;
        }

        result.AddError($"'{text}' is no number of reports; allowed: 1 or more");
        return null;
    }
}
