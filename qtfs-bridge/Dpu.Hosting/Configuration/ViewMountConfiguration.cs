using System.Text;

namespace Dpu.Hosting.Configuration;

/// <summary>What a part of a view is.</summary>
public enum ViewMountKind
{
    /// <summary>A mount of a host on this DPU, or a directory in it.</summary>
    Mount,

    /// <summary>A directory of this DPU.</summary>
    Folder,

    /// <summary>A file, FIFO or socket of this DPU.</summary>
    File,

    /// <summary>Memory, which ends with the view.</summary>
    Memory,

    /// <summary>A host's procfs with the view's own processes in it.</summary>
    Processes,
}

/// <summary>A part of a view that is not the DPU's own tree. Immutable.</summary>
/// <param name="Target">Where in the view.</param>
/// <param name="Kind">What.</param>
/// <param name="Source">The target of a host's mount, a directory or a file of the DPU, or a host's name; empty for memory.</param>
/// <param name="Path">A directory in the mount; empty for all of it. Of processes, the export.</param>
/// <param name="Size">Of memory, in bytes.</param>
/// <param name="Mode">Of memory, its root's permissions.</param>
/// <param name="ReadOnly">Whether it cannot be changed.</param>
/// <param name="AllowDev">Whether device nodes in it work.</param>
/// <param name="AllowSuid">Whether setuid bits in it count.</param>
/// <param name="Line">Where in the file it is.</param>
public sealed record ViewMountConfiguration(string Target, ViewMountKind Kind, string Source, string Path, long Size, uint Mode, bool ReadOnly, bool AllowDev, bool AllowSuid, int Line)
{
    /// <summary>Memory where nothing is said, in bytes.</summary>
    public const long DefaultSize = 64 << 20;

    private const uint DefaultMode = 0x1ed; // 0755

    private const long LeastSize = 4096;
    private const long MostSize = 1L << 40;

    private static readonly string[] s_sources = ["mount", "folder", "file", "memory", "processes"];

    internal static ViewMountConfiguration Read(ObjectReader reader)
    {
        int line = reader.Line;
        string target = reader.RequiredString("target", PlaceProblem, Checks.AbsolutePathAllowed);
        string[] said = [.. s_sources.Where(reader.Has)];
        if (said.Length != 1)
        {
            reader.Error(said.Length == 0 ? "" : said[1], said.Length == 0 ? "says not what is mounted" : $"cannot be beside \"{said[0]}\"", string.Join(", ", s_sources.Select(one => $"\"{one}\"")) + ": one of them");
        }

        string mount = reader.OptionalString("mount", Checks.AbsolutePath, "the \"target\" of a mount of the runtime") ?? "";
        string path = reader.OptionalString("path", InnerPath, "a relative path in the mount, without \".\" and \"..\"") ?? "";
        string folder = reader.OptionalString("folder", DpuPath, Checks.AbsolutePathAllowed) ?? "";
        string file = reader.OptionalString("file", DpuPath, Checks.AbsolutePathAllowed) ?? "";
        long memory = reader.OptionalInteger("memory", LeastSize, MostSize) ?? DefaultSize;
        uint mode = ReadMode(reader);
        (string host, string export) = reader.Object("processes") is { } of ? ReadProcesses(of) : ("", "");
        if (path.Length > 0 && mount.Length == 0)
        {
            reader.Error("path", "is a path in a \"mount\", which is not there", null);
        }

        var kind = (ViewMountKind)Math.Max(0, Array.IndexOf(s_sources, said.FirstOrDefault()));
        var result = new ViewMountConfiguration(
            target, kind, kind switch { ViewMountKind.Mount => mount, ViewMountKind.Folder => folder, ViewMountKind.File => file, ViewMountKind.Processes => host, _ => "" },
            kind == ViewMountKind.Processes ? export : path, memory, mode, reader.Boolean("readOnly", false), reader.Boolean("allowDev", false), reader.Boolean("allowSuid", false), line);
        reader.End();
        return result;
    }

    private static (string Host, string Export) ReadProcesses(ObjectReader reader)
    {
        (string, string) read = (reader.RequiredString("host", Checks.Name, Checks.NameAllowed), reader.RequiredString("export", Checks.ExportName, Checks.ExportNameAllowed));
        reader.End();
        return read;
    }

    private static uint ReadMode(ObjectReader reader)
    {
        const string Allowed = "three or four octal digits, such as \"0755\"";
        string? text = reader.OptionalString("mode", mode => mode.Length is 3 or 4 && mode.All(digit => digit is >= '0' and <= '7') ? null : $"is \"{mode}\"", Allowed);
        return text is null ? DefaultMode : Convert.ToUInt32(text, 8);
    }

    private static string? InnerPath(string text) => Checks.AbsolutePath("/" + text) is null && text.Length > 0 ? null : $"\"{text}\" is no plain relative path";

    private static string? PlaceProblem(string text) => text == "/" ? "\"/\" would hide the whole view" : Checks.AbsolutePath(text) ?? TooLong(text) ?? DpuPaths.TargetProblem(text);

    private static string? DpuPath(string text) => Checks.AbsolutePath(text) ?? TooLong(text) ?? DpuPaths.SourceProblem(text);

    private static string? TooLong(string text) => Encoding.UTF8.GetByteCount(text) > 4000 ? "is longer than a path can be" : null;
}
