using Dpu.TestSupport;

namespace Dpu.Benchmarks.Targets;

/// <summary>The folder of a run, removed at its end; kept, with a message, while a mount is left below it.</summary>
internal sealed class Workspace : IDisposable
{
    public Workspace(string store)
    {
        Folder = Path.Combine(store, "dpu-bench." + Environment.ProcessId.ToString(System.Globalization.CultureInfo.InvariantCulture));
        Directory.CreateDirectory(Folder, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
    }

    public string Folder { get; }

    public void Dispose()
    {
        string[] mounts = [.. MountTable.Targets().Where(t => t.StartsWith(Folder + "/", StringComparison.Ordinal))];
        if (mounts.Length != 0)
        {
            throw new InvalidOperationException($"'{Folder}' is kept: still mounted: {string.Join(", ", mounts)}.");
        }

        Directory.Delete(Folder, recursive: true);
    }
}
