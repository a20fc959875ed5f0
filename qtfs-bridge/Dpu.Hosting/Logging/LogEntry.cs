using Microsoft.Extensions.Logging;

namespace Dpu.Hosting.Logging;

/// <summary>One log entry on its way to be written.</summary>
/// <param name="Time">When, UTC.</param>
/// <param name="Level">How bad.</param>
/// <param name="Category">Which component.</param>
/// <param name="EventId">Stable number and name; number 0 for none.</param>
/// <param name="Message">The text.</param>
/// <param name="Exception">What was thrown; null for nothing.</param>
/// <param name="Properties">The message's named values; null for none.</param>
public sealed record LogEntry(
    DateTimeOffset Time,
    LogLevel Level,
    string Category,
    EventId EventId,
    string Message,
    Exception? Exception,
    IReadOnlyList<KeyValuePair<string, object?>>? Properties);
