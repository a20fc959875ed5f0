using System.Text;

namespace Dpu.Linux.Tests.Layout;

/// <summary>Compiles claims, one <c>_Static_assert</c> a line and one program a header, and names those that do not hold.</summary>
internal static class LayoutProof
{
    internal static IReadOnlyList<string> Failures(IEnumerable<Claim> claims, Compiler compiler)
    {
        Version own = compiler.HeadersVersion();
        Claim[] relevant = [.. claims.Where(claim => claim.Architecture is null || claim.Architecture == compiler.Architecture)];
        Claim[] newer = [.. relevant.Where(claim => claim.Since > own)];
        var failures = new List<string>();
        Prove(relevant.Except(newer), compiler, [], failures);
        if (newer.Length > 0)
        {
            using KernelHeaders headers = KernelHeaders.Newest(newer.Max(claim => claim.Since)!);
            Prove(newer, compiler, headers.Options(compiler.Architecture), failures);
        }

        return failures;
    }

    private static void Prove(IEnumerable<Claim> claims, Compiler compiler, IEnumerable<string> options, List<string> failures)
    {
        // A program a header: glibc's and the kernel's headers declare some things twice and cannot all be included together.
        foreach (IGrouping<string, Claim> group in claims.GroupBy(claim => claim.Headers))
        {
            Claim[] asserted = [.. group];
            var source = new StringBuilder("#define _GNU_SOURCE 1\n#include <stdint.h>\n");
            foreach (string header in group.Key.Split(' ', StringSplitOptions.RemoveEmptyEntries))
            {
                source.Append("#include <").Append(header).Append(">\n");
            }

            int first = source.ToString().Count(letter => letter == '\n') + 1;
            foreach (Claim claim in asserted)
            {
                source.Append("_Static_assert(").Append(claim.Condition).Append(", \"").Append(claim.Name).Append("\");\n");
            }

            failures.AddRange(compiler.Check(source.ToString(), options)
                .DistinctBy(error => error.Line == 0 ? error.Message : (object)error.Line)
                .Select(error => error.Line >= first
                    ? $"{asserted[error.Line - first].Name}: {asserted[error.Line - first].Condition} [{compiler.Architecture}]: {error.Message}"
                    : $"{group.Key} [{compiler.Architecture}]: {error.Message}"));
        }
    }
}
