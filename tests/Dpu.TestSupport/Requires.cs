namespace Dpu.TestSupport;

/// <summary>
/// What a test needs of the machine. A missing thing FAILS the test by name, so that a green run means that all ran.
/// Thread-safe.
/// </summary>
public static class Requires
{
    /// <summary>The caller must be root (with /dev/fuse and namespaces, as the category <c>root</c> promises).</summary>
    /// <exception cref="RequirementException">It is not.</exception>
    public static void Root()
    {
        if (!Environment.IsPrivilegedProcess)
        {
            throw new RequirementException("This test must run as root: use 'sudo ./dev test'.");
        }
    }

    /// <summary>A program must be on PATH or in a system folder for programs; returns its path.</summary>
    /// <exception cref="RequirementException">It is not; the message names the Debian package.</exception>
    public static string Tool(string name)
    {
        string? path = FindTool(name, Environment.GetEnvironmentVariable("PATH"));
        if (path is null)
        {
            string package = DebianPackages.Load().PackageOf(name) ?? name;
            throw new RequirementException(
                $"The program '{name}' is not installed: 'apt-get install {package}', or run './dev test', which does.");
        }

        return path;
    }

    /// <summary>A file, device or folder must exist; returns its path.</summary>
    /// <exception cref="RequirementException">It does not.</exception>
    public static string Exists(string path, string remedy)
    {
        if (!Path.Exists(path))
        {
            throw new RequirementException($"'{path}' does not exist: {remedy}.");
        }

        return path;
    }

    /// <summary>Finds a program on a PATH, then where administrators' programs are (a user's PATH often lacks them).</summary>
    public static string? FindTool(string name, string? searchPath)
    {
        IEnumerable<string> folders = (searchPath ?? "").Split(':', StringSplitOptions.RemoveEmptyEntries)
            .Concat(["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"]);
        foreach (string folder in folders)
        {
            string candidate = Path.Combine(folder, name);
            if (File.Exists(candidate)
                && (File.GetUnixFileMode(candidate) & (UnixFileMode.UserExecute | UnixFileMode.GroupExecute | UnixFileMode.OtherExecute)) != 0)
            {
                return candidate;
            }
        }

        return null;
    }
}
