namespace Dpu.Runtime.Views.Calls;

/// <summary>How often a view's programs were held, by call. Thread-safe.</summary>
internal sealed class CallCounts
{
    private const int Kinds = (int)CallKind.MountSetAttr + 1;

    private readonly long[] _intercepted = new long[Kinds];
    private readonly long[] _done = new long[Kinds];
    private readonly long[] _failed = new long[Kinds];

    /// <summary>Those that were held at least once: all of them, those that were not left to this machine's kernel, and those that ended with an error.</summary>
    public IEnumerable<(string Name, long Intercepted, long Done, long Failed)> All => SeccompFilter.Names
        .Select(call => (call.Name, Interlocked.Read(ref _intercepted[(int)call.Kind]), Interlocked.Read(ref _done[(int)call.Kind]), Interlocked.Read(ref _failed[(int)call.Kind])))
        .Where(call => call.Item2 > 0);

    public void Intercepted(CallKind kind) => Interlocked.Increment(ref _intercepted[(int)kind]);

    /// <summary>It was answered.</summary>
    /// <param name="kind">The call.</param>
    /// <param name="result">What it returned, or a negated errno.</param>
    public void Done(CallKind kind, long result)
    {
        Interlocked.Increment(ref _done[(int)kind]);
        if (result < 0)
        {
            Interlocked.Increment(ref _failed[(int)kind]);
        }
    }
}
