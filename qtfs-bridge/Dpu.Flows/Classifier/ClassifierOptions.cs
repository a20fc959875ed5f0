namespace Dpu.Flows.Classifier;

/// <summary>How a classifier is kept fast. Immutable; the defaults are those of docs/performance.md.</summary>
public sealed record ClassifierOptions
{
    /// <summary>
    /// More tables than this are compiled into trees in the background. Measured: 1,000 rules in some 60 tables are found at a
    /// quarter of the rate that their trees have.
    /// </summary>
    public int CompileAboveTables { get; init; } = 16;

    /// <summary>More rules than this are compiled, where they lie in more than <see cref="FewTables"/> tables.</summary>
    public int CompileAboveRules { get; init; } = 20_000;

    /// <summary>So few tables are probed faster than trees, however many rules they have: a million flows of one mask are one probe.</summary>
    public int FewTables { get; init; } = 8;

    /// <summary>
    /// Tables at once. A rule that would need one more goes into a table whose chains it makes longer: the number of probes a
    /// look-up takes is bounded whatever masks somebody asks for.
    /// </summary>
    public int MaxTables { get; init; } = 512;

    /// <summary>Rules behind one hash value before another table is looked for.</summary>
    public int MaxChain { get; init; } = 10;

    /// <summary>False: compile in the thread that publishes, for tests.</summary>
    public bool CompileInBackground { get; init; } = true;
}

/// <summary>What a classifier consists of at the moment.</summary>
/// <param name="Rules">Rules that are visible to new readers.</param>
/// <param name="Masks">Different masks.</param>
/// <param name="Tables">Hash tables, each a probe.</param>
/// <param name="Trees">Compiled trees.</param>
/// <param name="CompiledRules">Rules in them, removed ones included.</param>
/// <param name="Compilations">How often trees were compiled.</param>
/// <param name="LastCompilation">How long the last one took.</param>
/// <param name="Bytes">Memory of rules, masks, tables and trees.</param>
/// <param name="Version">Batches that were published.</param>
/// <param name="CompileFailure">Why the last compilation failed; null where it did not.</param>
public readonly record struct ClassifierStatistics(
    int Rules, int Masks, int Tables, int Trees, int CompiledRules, long Compilations, TimeSpan LastCompilation, long Bytes, uint Version, string? CompileFailure);
