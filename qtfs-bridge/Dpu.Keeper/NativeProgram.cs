namespace Dpu.Keeper;

/// <summary>Where the programs in C are: beside this one, as a build has them, or where packages put them.</summary>
public static class NativeProgram
{
    private static readonly string[] s_folders = [AppContext.BaseDirectory, "/usr/libexec/dpu", "/usr/sbin", "/usr/bin"];

    /// <summary>A program's path; where it is nowhere, the first that it could have.</summary>
    public static string PathOf(string name) => s_folders.Select(folder => Path.Combine(folder, name)).FirstOrDefault(File.Exists) ?? Path.Combine(s_folders[0], name);
}
