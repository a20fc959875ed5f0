using System.Globalization;
using Dpu.Flows.Table;
using Dpu.Reconciler.Records;

namespace Dpu.Reconciler.Targets;

/// <summary>A dump in a file, as text or JSON. It is read only.</summary>
/// <param name="name">What reports call it, and its path where nothing else opens it.</param>
/// <param name="skipUnreadable">Leave out what cannot be read, and count it; otherwise it is an error.</param>
/// <param name="open">Opens it; null for the file of that name.</param>
/// <param name="progress">Called with the number of lines, each 100,000; null for nobody.</param>
public sealed class FileTarget(string name, bool skipUnreadable = false, Func<Stream>? open = null, Action<long>? progress = null) : IFlowTarget
{
    /// <inheritdoc/>
    public string Name => name;

    /// <inheritdoc/>
    public TargetTraits Traits { get; } = new(Writable: false, UniqueKeys: true, Cookies: true, Timeouts: true, Capacity: null);

    /// <summary>Lines that were left out in the last reading, and the first of them.</summary>
    public (long Count, IReadOnlyList<string> First) Unreadable { get; private set; } = (0, []);

    /// <inheritdoc/>
    public TargetDump Read(CancellationToken cancellation = default)
    {
        FlowFileReader reader = new();
        using (Stream stream = open?.Invoke() ?? Open(name))
        {
            reader.Read(stream, progress, cancellation);
        }

        Unreadable = (reader.Unreadable, reader.Problems);
        return reader.Unreadable == 0 || skipUnreadable
            ? new TargetDump(reader.Flows)
            : throw new TargetException(string.Create(CultureInfo.InvariantCulture, $"{name}: {reader.Unreadable} lines cannot be read, the first: {reader.Problems[0]}"));
    }

    /// <inheritdoc/>
    public IReadOnlyList<ChangeResult> Apply(IReadOnlyList<TargetChange> changes, CancellationToken cancellation = default) =>
        throw new TargetException($"{name} is a file, which is read only");

    /// <inheritdoc/>
    public (ulong Packets, ulong Bytes)? Find(ulong handle) => (0, 0);

    /// <inheritdoc/>
    public string? RefusalOf(FlowDefinition flow) => null;

    private static FileStream Open(string path)
    {
        try
        {
            return new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read, bufferSize: 0, FileOptions.SequentialScan);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new TargetException($"cannot read {path}: {e.Message}", e);
        }
    }
}

/// <summary>Flows in memory. It is read only.</summary>
public sealed class MemoryTarget(FlowSet flows, string name = "memory", bool cookies = true, bool timeouts = true) : IFlowTarget
{
    /// <inheritdoc/>
    public string Name => name;

    /// <inheritdoc/>
    public TargetTraits Traits { get; } = new(Writable: false, UniqueKeys: true, cookies, timeouts, Capacity: null);

    /// <inheritdoc/>
    public TargetDump Read(CancellationToken cancellation = default) => new(flows);

    /// <inheritdoc/>
    public IReadOnlyList<ChangeResult> Apply(IReadOnlyList<TargetChange> changes, CancellationToken cancellation = default) =>
        throw new TargetException($"{name} is read only");

    /// <inheritdoc/>
    public (ulong Packets, ulong Bytes)? Find(ulong handle) => (0, 0);

    /// <inheritdoc/>
    public string? RefusalOf(FlowDefinition flow) => null;
}
