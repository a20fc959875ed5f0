using Microsoft.Extensions.Logging;

namespace Dpu.Hosting.Logging;

/// <summary>The logger of one category. Thread-safe.</summary>
internal sealed class DaemonLogger(DaemonLoggerProvider provider, string category, LogLevel floor) : ILogger
{
    public IDisposable? BeginScope<TState>(TState state)
        where TState : notnull => null;

    public bool IsEnabled(LogLevel logLevel) =>
        logLevel != LogLevel.None && logLevel >= floor && logLevel >= provider.Level;

    public void Log<TState>(
        LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
    {
        if (IsEnabled(logLevel))
        {
            provider.Write(logLevel, category, eventId, formatter(state, exception), exception, state);
        }
    }
}
