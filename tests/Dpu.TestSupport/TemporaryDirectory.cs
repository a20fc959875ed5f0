namespace Dpu.TestSupport;

/// <summary>A fresh folder, 0700, deleted with all it holds on <see cref="Dispose"/>. One owner.</summary>
/// <remarks>The path is short: unix socket addresses end at 107 bytes.</remarks>
public sealed class TemporaryDirectory : IDisposable
{
    private bool disposed;

    /// <summary>Makes the folder below the system's temporary folder (<c>TMPDIR</c>).</summary>
    /// <param name="prefix">The start of its name, to tell whose it is when it is left over.</param>
    public TemporaryDirectory(string prefix = "dpu-")
    {
        FullPath = Directory.CreateTempSubdirectory(prefix).FullName;
    }

    /// <summary>The absolute path.</summary>
    public string FullPath { get; }

    /// <summary>The path of an entry of the folder.</summary>
    public string this[string relative] => Path.Combine(FullPath, relative);

    /// <summary>Makes a folder inside and returns its path.</summary>
    public string CreateDirectory(string relative) => Directory.CreateDirectory(this[relative]).FullName;

    /// <summary>Writes a file inside, making the folders above it, and returns its path.</summary>
    public string WriteFile(string relative, string content)
    {
        string path = this[relative];
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        File.WriteAllText(path, content);
        return path;
    }

    /// <summary>Deletes the folder. Refuses while something is mounted below it: deleting would reach into the mount.</summary>
    /// <exception cref="InvalidOperationException">A mount is left below the folder.</exception>
    public void Dispose()
    {
        if (disposed)
        {
            return;
        }

        disposed = true;
        IReadOnlyList<string> mounts = [.. MountTable.Targets().Where(t => t == FullPath || t.StartsWith(FullPath + "/", StringComparison.Ordinal))];
        if (mounts.Count != 0)
        {
            throw new InvalidOperationException($"'{FullPath}' is kept: still mounted below it: {string.Join(", ", mounts)}. Unmount before disposing of the folder.");
        }

        // Not Directory.Delete: it cannot remove names that are no UTF-8, which tests of file names leave.
        ExternalProgram.Check("rm", ["-rf", "--", FullPath], TimeSpan.FromMinutes(2));
    }
}
