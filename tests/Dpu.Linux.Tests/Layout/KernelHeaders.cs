using System.Globalization;
using System.Text.RegularExpressions;

namespace Dpu.Linux.Tests.Layout;

/// <summary>
/// Kernel headers newer than the C library's, for what Debian 12's own (6.1) do not have yet: the newest
/// <c>linux-headers-*-common</c> package, made usable in user space as the kernel's <c>scripts/headers_install.sh</c> does.
/// </summary>
internal sealed partial class KernelHeaders : IDisposable
{
    private const string Sources = "/usr/src";
    private readonly string _folder = Directory.CreateTempSubdirectory("dpu-kernel-headers-").FullName;

    private KernelHeaders(string source, Version version)
    {
        Version = version;
        Install(Path.Combine(source, "include/uapi"), Path.Combine(_folder, "include"));
        foreach ((string architecture, string arch) in (ReadOnlySpan<(string, string)>)[("x64", "x86"), ("arm64", "arm64")])
        {
            Install(Path.Combine(source, "arch", arch, "include/uapi"), Path.Combine(_folder, architecture));
        }
    }

    internal Version Version { get; }

    /// <summary>Takes the newest installed headers; fails, naming the package, where none is new enough.</summary>
    internal static KernelHeaders Newest(Version needed)
    {
        (string Folder, Version Version) newest = Directory.EnumerateDirectories(Sources, "linux-headers-*-common")
            .Select(folder => (folder, Name().Match(Path.GetFileName(folder))))
            .Where(found => found.Item2.Success)
            .Select(found => (found.folder, new Version(Number(found.Item2, 1), Number(found.Item2, 2), Number(found.Item2, 3))))
            .OrderBy(found => found.Item2).LastOrDefault();
        if (newest.Version is null || newest.Version < needed)
        {
            throw new AssertFailedException(
                $"Kernel headers {needed} or newer are needed to prove newer declarations; {Sources} holds {newest.Version?.ToString() ?? "none"}. "
                + "Install the newest linux-headers-6.12.*-common.");
        }

        return new KernelHeaders(newest.Folder, newest.Version);
    }

    internal IEnumerable<string> Options(string architecture) =>
        ["-isystem", Path.Combine(_folder, architecture), "-isystem", Path.Combine(_folder, "include")];

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    private static void Install(string source, string target)
    {
        foreach (string file in Directory.EnumerateFiles(source, "*.h", SearchOption.AllDirectories))
        {
            string text = KernelOnlyInclude().Replace(File.ReadAllText(file), "");
            text = KernelOnlyWord().Replace(text, "").Replace("__packed", "__attribute__((packed))", StringComparison.Ordinal);
            string path = Path.Combine(target, Path.GetRelativePath(source, file));
            Directory.CreateDirectory(Path.GetDirectoryName(path)!);
            File.WriteAllText(path, text);
        }
    }

    private static int Number(Match match, int group) => int.Parse(match.Groups[group].ValueSpan, CultureInfo.InvariantCulture);

    [GeneratedRegex(@"^linux-headers-(\d+)\.(\d+)\.(\d+)")]
    private static partial Regex Name();

    [GeneratedRegex(@"^\s*#\s*include\s+<linux/compiler(_types)?\.h>.*$", RegexOptions.Multiline)]
    private static partial Regex KernelOnlyInclude();

    [GeneratedRegex(@"\b(__user|__force|__iomem|__attribute_const__)\b")]
    private static partial Regex KernelOnlyWord();
}
