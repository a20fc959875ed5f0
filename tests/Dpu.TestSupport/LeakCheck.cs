namespace Dpu.TestSupport;

/// <summary>
/// Compares the descriptors, named threads and mounts of this process before and after. Do not run such a test beside
/// others of the same process: mark it <c>[DoNotParallelize]</c>.
/// </summary>
/// <remarks>
/// The runtime opens some descriptors at first use (its socket engine, its time zone file): run the action once before
/// <see cref="Start"/>, or use <see cref="Run"/>, which does. A thread counts by its name; threads of the runtime
/// (".NET …") are left out.
/// </remarks>
public sealed class LeakCheck
{
    private readonly LeakSnapshot before;

    private LeakCheck(LeakSnapshot before) => this.before = before;

    /// <summary>Remembers what is there now.</summary>
    public static LeakCheck Start() => new(LeakSnapshot.Take());

    /// <summary>What is there now and was not at the start; empty where nothing is left.</summary>
    public IReadOnlyList<string> Leftovers() => LeakSnapshot.Take().Since(before);

    /// <summary>Fails where something is left after <paramref name="limit"/> (threads and finalizers need a moment to end).</summary>
    /// <exception cref="LeakException">Something is left; the message lists it.</exception>
    public void NothingLeft(TimeSpan limit)
    {
        IReadOnlyList<string> left = [];
        if (!Eventually.Within(() => (left = Leftovers()).Count == 0, limit))
        {
            throw new LeakException($"Left behind after {limit.TotalSeconds:0.###} s:\n  {string.Join("\n  ", left)}");
        }
    }

    /// <summary>Runs an action once to warm up, then <paramref name="times"/> times, and fails where that left something.</summary>
    /// <exception cref="LeakException">Something is left.</exception>
    public static void Run(Action action, int times, TimeSpan limit)
    {
        action();
        LeakCheck check = Start();
        for (int i = 0; i < times; i++)
        {
            action();
        }

        check.NothingLeft(limit);
    }
}

/// <summary>Something was left behind; the message lists it.</summary>
public sealed class LeakException : Exception
{
    /// <summary>Lists what was left.</summary>
    public LeakException(string message)
        : base(message)
    {
    }
}
