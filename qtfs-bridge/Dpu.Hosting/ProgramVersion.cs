using System.Reflection;

namespace Dpu.Hosting;

/// <summary>The version of the program that runs.</summary>
public static class ProgramVersion
{
    /// <summary>Such as <c>0.1.0</c>; the commit, where the build knew it, is left out.</summary>
    public static string Current { get; } = Of(Assembly.GetEntryAssembly() ?? typeof(ProgramVersion).Assembly);

    private static string Of(Assembly assembly)
    {
        string text = assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion
            ?? assembly.GetName().Version?.ToString()
            ?? "0";
        int plus = text.IndexOf('+', StringComparison.Ordinal);
        return plus < 0 ? text : text[..plus];
    }
}
