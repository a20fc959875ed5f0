namespace Dpu.Runtime.Views;

/// <summary>Where a view has its state, on the DPU: beside the socket that dpu-run connects to. Immutable.</summary>
/// <param name="Root">The directory of all views.</param>
/// <param name="Name">The view.</param>
internal sealed record ViewPaths(string Root, string Name)
{
    /// <summary>The view's own directory.</summary>
    public string Folder => $"{Root}/{Name}";

    /// <summary>Says the number of its first process, which has it locked.</summary>
    public string Init => $"{Folder}/init";

    /// <summary>What it was made of: a copy of its file.</summary>
    public string Made => $"{Folder}/view.json";

    /// <summary>What it has as /run/dpu.</summary>
    public string Stubs => $"{Folder}/run";

    /// <summary>Where its stubs connect.</summary>
    public string StubSocket => $"{Stubs}/stub.sock";

    /// <summary>Its procfs, for the runtime.</summary>
    public string Processes => $"{Folder}/proc";

    /// <summary>A host's procfs with its own processes in it.</summary>
    public string Merged => $"{Folder}/merged";

    /// <summary>An empty file, mounted on what it is not to see.</summary>
    public string Nothing => $"{Folder}/nothing";
}
