namespace Dpu.Benchmarks.Harness;

/// <summary>Which way a value improves.</summary>
internal enum Better
{
    Lower,
    Higher,
}

/// <summary>One kind of work, run again and again on each contender.</summary>
/// <typeparam name="T">What it runs on.</typeparam>
/// <param name="Name">A short name, unique in its benchmark.</param>
/// <param name="Unit">The value's unit.</param>
/// <param name="Better">Which way the value improves.</param>
/// <param name="Run">Runs once and returns the value; throws where the contender fails.</param>
/// <param name="Only">The names of the contenders that it is for; null for all.</param>
internal sealed record Work<T>(string Name, string Unit, Better Better, Func<T, double> Run, IReadOnlyCollection<string>? Only = null)
{
    /// <summary>Whether it is for that contender.</summary>
    public bool IsFor(string contender) => Only is null || Only.Contains(contender);
}
