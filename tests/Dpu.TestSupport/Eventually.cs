using System.Diagnostics;

namespace Dpu.TestSupport;

/// <summary>
/// Waits for a state that only another process or the kernel can bring about and that cannot be waited on: polls,
/// with a limit. Inside one process wait on the thing itself, or move a fake clock.
/// </summary>
public static class Eventually
{
    // Short against a test, long against the cost of looking.
    private static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(5);

    /// <summary>Returns once <paramref name="condition"/> holds.</summary>
    /// <param name="condition">What shall become true; called on this thread.</param>
    /// <param name="limit">How long to wait at most.</param>
    /// <param name="what">What is waited for, for the message.</param>
    /// <exception cref="TimeoutException">It did not hold in time.</exception>
    public static void True(Func<bool> condition, TimeSpan limit, string what = "the condition")
    {
        if (!Within(condition, limit))
        {
            throw new TimeoutException($"{what} did not hold within {limit.TotalSeconds:0.###} s.");
        }
    }

    /// <summary>Returns the first value that is not null.</summary>
    /// <exception cref="TimeoutException">There was none in time.</exception>
    public static T NotNull<T>(Func<T?> value, TimeSpan limit, string what = "the value")
        where T : class
    {
        T? found = null;
        True(() => (found = value()) is not null, limit, what);
        return found!;
    }

    /// <summary>Whether <paramref name="condition"/> came to hold in time; looks at least twice.</summary>
    public static bool Within(Func<bool> condition, TimeSpan limit)
    {
        using ManualResetEventSlim never = new();
        long start = Stopwatch.GetTimestamp();
        while (!condition())
        {
            if (Stopwatch.GetElapsedTime(start) > limit)
            {
                return condition();
            }

            never.Wait(Interval);
        }

        return true;
    }
}
