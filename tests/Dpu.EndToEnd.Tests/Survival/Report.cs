using System.Text.Json.Nodes;

namespace Dpu.EndToEnd.Tests.Survival;

/// <summary>What a run has found, for who started it: printed, and below artifacts/survival.</summary>
internal static class Report
{
    // './dev test' prints what is in this file behind a program's results.
    private const string FileVariable = "DPU_TEST_REPORT";

    /// <summary>Prints something.</summary>
    public static void Add(string text)
    {
        Console.WriteLine(text);
        if (Environment.GetEnvironmentVariable(FileVariable) is { Length: > 0 } file)
        {
            File.AppendAllText(file, text + "\n");
        }
    }

    /// <summary>Writes something as JSON.</summary>
    public static void Save(string name, JsonObject content)
    {
        string folder = Directory.CreateDirectory(Repository.PathOf("artifacts/survival")).FullName;
        File.WriteAllText(Path.Combine(folder, $"{name}.json"), content.ToJsonString());
    }
}
