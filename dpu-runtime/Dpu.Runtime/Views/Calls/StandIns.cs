using System.Collections.Concurrent;
using System.Globalization;
using Dpu.Runtime.Processes;

namespace Dpu.Runtime.Views.Calls;

/// <summary>Finds the process of a host that a number of a view means. Thread-safe.</summary>
/// <param name="processes">What there is.</param>
internal sealed class StandIns(ProcessTable processes)
{
    // By stub: the number is the same as long as it lives, and a token is never another process's.
    private readonly ConcurrentDictionary<Guid, (string Namespace, int Number)> _known = new();

    /// <summary>The process whose stub has that number to a caller; null where it is no stub's.</summary>
    /// <param name="caller">Who names it: a thread, by its number here.</param>
    /// <param name="number">By which number.</param>
    public StubProcess? Find(int caller, int number)
    {
        string callers = ViewInit.NamespaceOf(caller, "pid");
        if (callers.Length == 0)
        {
            return null;
        }

        StubProcess? found = null;
        HashSet<Guid> live = [];
        foreach (StubProcess process in processes.Live)
        {
            _ = live.Add(process.Token);
            if (!_known.TryGetValue(process.Token, out (string Namespace, int Number) stub))
            {
                stub = (ViewInit.NamespaceOf(process.Stub, "pid"), NumberOf(process.Stub));
                if (stub.Number > 0)
                {
                    _known[process.Token] = stub;
                }
            }

            // Not one that only has the number by now.
            if (stub.Number == number && stub.Namespace == callers && process.HasStub)
            {
                found = process;
            }
        }

        foreach (Guid gone in _known.Keys.Where(token => !live.Contains(token)))
        {
            _ = _known.TryRemove(gone, out _);
        }

        return found;
    }

    // proc(5), NSpid: its numbers in the namespaces that it is in, the innermost last.
    private static int NumberOf(int process)
    {
        try
        {
            string? line = File.ReadLines(string.Create(CultureInfo.InvariantCulture, $"/proc/{process}/status")).FirstOrDefault(line => line.StartsWith("NSpid:", StringComparison.Ordinal));
            return line is not null && int.TryParse(line.Split('\t')[^1], NumberStyles.None, CultureInfo.InvariantCulture, out int number) ? number : 0;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // Expected: it has ended.
            return 0;
        }
    }
}
