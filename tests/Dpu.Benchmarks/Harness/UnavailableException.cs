namespace Dpu.Benchmarks.Harness;

/// <summary>A contender that cannot be on this machine or in this build, which is no failure of the run; the message says why.</summary>
internal sealed class UnavailableException(string message) : Exception(message);
