namespace Dpu.Benchmarks;

/// <summary>Answers one question, with ours and its peers in one run.</summary>
internal interface IBenchmark
{
    /// <summary>As on the command line.</summary>
    string Name { get; }

    /// <summary>What it answers, in one line.</summary>
    string Question { get; }

    /// <summary>Runs and prints; returns the exit code: 0, or 1 where something could not run or a bar was missed.</summary>
    int Run(BenchmarkOptions options);
}
