namespace Dpu.Runtime.Processes;

/// <summary>Something that has happened to a process. Immutable.</summary>
/// <param name="Time">When this runtime was told.</param>
/// <param name="Text">For people.</param>
public sealed record ProcessEvent(DateTimeOffset Time, string Text);

/// <summary>What has happened to a process, for <c>dpuctl ps logs</c>: how it began, and the last of what came after. Thread-safe.</summary>
/// <param name="time">The clock.</param>
internal sealed class ProcessHistory(TimeProvider time)
{
    /// <summary>Of the beginning.</summary>
    public const int First = 8;

    /// <summary>Of the rest.</summary>
    public const int Last = 56;

    // A host may send long ones.
    private const int MaxText = 1200;

    private readonly List<ProcessEvent> _first = [];
    private readonly Queue<ProcessEvent> _last = new();
    private int _dropped;

    /// <summary>All that is kept, the oldest first; one between says how many are not.</summary>
    public IReadOnlyList<ProcessEvent> All
    {
        get
        {
            lock (_first)
            {
                return _dropped == 0 ? [.. _first, .. _last] : [.. _first, new ProcessEvent(_last.Peek().Time, $"({_dropped} events before this one are not kept)"), .. _last];
            }
        }
    }

    /// <summary>Adds one.</summary>
    public void Add(string text)
    {
        var added = new ProcessEvent(time.GetUtcNow(), text.Length > MaxText ? text[..MaxText] : text);
        lock (_first)
        {
            if (_first.Count < First)
            {
                _first.Add(added);
                return;
            }

            _last.Enqueue(added);
            if (_last.Count > Last)
            {
                _ = _last.Dequeue();
                _dropped++;
            }
        }
    }
}
