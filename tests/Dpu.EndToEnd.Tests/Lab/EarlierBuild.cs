namespace Dpu.EndToEnd.Tests.Lab;

/// <summary>The daemons of an earlier commit, built in a folder of their own. <see cref="Dispose"/> removes it.</summary>
internal sealed class EarlierBuild : IDisposable
{
    // Two projects and what they need, on a busy machine.
    private static readonly TimeSpan BuildLimit = TimeSpan.FromMinutes(15);

    private readonly TemporaryDirectory _folder = new();

    /// <summary>Builds them.</summary>
    /// <param name="commit">It; the clone must have it.</param>
    public EarlierBuild(string commit)
    {
        string archive = _folder["source.tar"];
        ProgramResult taken = ExternalProgram.Run("git", ["-C", Repository.Root, "archive", "--output", archive, commit], Pair.Limit);
        if (taken.ExitCode != 0)
        {
            _folder.Dispose();
            throw new RequirementException($"commit {commit} is not in this clone ({taken.Error.Trim()}): 'git fetch --unshallow'.");
        }

        ExternalProgram.Check("tar", ["-xf", archive, "-C", _folder.CreateDirectory("source")], Pair.Limit);
        foreach (string project in (string[])["host-agent/Dpu.HostAgent", "dpu-runtime/Dpu.Runtime"])
        {
            ExternalProgram.Check("dotnet", ["build", Path.Combine(Root, project), "-c", Repository.Configuration, "-nodereuse:false", "-p:UseSharedCompilation=false", "-m:1", "-v", "q"], BuildLimit);
        }
    }

    /// <summary>Its folder, as <see cref="Repository.Root"/>.</summary>
    public string Root => _folder["source"];

    /// <inheritdoc/>
    public void Dispose() => _folder.Dispose();
}
