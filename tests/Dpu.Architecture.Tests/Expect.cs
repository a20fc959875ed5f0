namespace Dpu.Architecture.Tests;

/// <summary>Fails with all violations at once, a line each.</summary>
internal static class Expect
{
    public static void None(IEnumerable<string> violations)
    {
        string[] found = [.. violations];
        if (found.Length != 0)
        {
            Assert.Fail($"{found.Length} violations:\n  {string.Join("\n  ", found)}");
        }
    }
}
