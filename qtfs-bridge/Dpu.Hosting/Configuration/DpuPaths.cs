namespace Dpu.Hosting.Configuration;

/// <summary>Places of this DPU that no view may show: keys, configuration, what the daemons keep. A host may name any path in a symbolic link.</summary>
public static class DpuPaths
{
    /// <summary>Where the daemons' sockets are; a view has a directory of its own there.</summary>
    public const string Sockets = "/run/dpu";

    /// <summary>What is hidden in each view, where it is there.</summary>
    public static IReadOnlyList<string> Secret { get; } = ["/etc/dpu", "/var/lib/dpu", "/var/cache/dpu"];

    /// <summary>Whether a path is another one, or lies in it.</summary>
    public static bool IsIn(string path, string folder)
    {
        ArgumentNullException.ThrowIfNull(path);
        ArgumentNullException.ThrowIfNull(folder);
        return path == folder || folder == "/" || (path.StartsWith(folder, StringComparison.Ordinal) && path[folder.Length] == '/');
    }

    /// <summary>Why nothing of the DPU at that path may be in a view; null where it may.</summary>
    /// <param name="path">A plain absolute path.</param>
    /// <param name="more">Secret paths beside <see cref="Secret"/>.</param>
    public static string? SourceProblem(string path, params IEnumerable<string> more) => Secret.Append(Sockets).Concat(more)
        .Where(secret => IsIn(path, secret) || IsIn(secret, path))
        .Select(secret => path == secret || IsIn(path, secret)
            ? $"\"{path}\" is in {secret}, which is the DPU's own and in no view; use a directory elsewhere"
            : $"\"{path}\" holds {secret}, which is the DPU's own and in no view; name what the daemon needs of it")
        .FirstOrDefault();

    internal static string? TargetProblem(string path) => Secret.Append(Sockets)
        .Where(secret => IsIn(path, secret))
        .Select(secret => $"\"{path}\" is in {secret}, which a view has for itself; choose another place")
        .FirstOrDefault();
}
