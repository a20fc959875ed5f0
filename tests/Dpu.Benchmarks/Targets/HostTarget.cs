namespace Dpu.Benchmarks.Targets;

/// <summary>The host's own file system: no mount between.</summary>
internal sealed class HostTarget(string store, string name = "host") : FileTarget(name, store)
{
    public override string Seen => Backing;

    public override void Abort()
    {
        // Nothing of ours is between: a host file system that hangs cannot be ended from here.
    }

    public override void Dispose()
    {
    }

    private protected override void StartCore()
    {
    }
}
