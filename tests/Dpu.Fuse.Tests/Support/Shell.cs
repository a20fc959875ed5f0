using System.Diagnostics;

namespace Dpu.Fuse.Tests.Support;

/// <summary>Runs a program of the system that a test needs.</summary>
internal static class Shell
{
    internal static string Run(string program, params string[] arguments)
    {
        var start = new ProcessStartInfo(program, arguments) { RedirectStandardError = true, RedirectStandardOutput = true };
        using Process process = Process.Start(start)!;
        Task<string> errors = process.StandardError.ReadToEndAsync();
        Task<string> output = process.StandardOutput.ReadToEndAsync();
        if (!process.WaitForExit(TimeSpan.FromSeconds(20)))
        {
            process.Kill();
            Assert.Fail($"{program} {string.Join(' ', arguments)} does not end");
        }

        Assert.AreEqual(0, process.ExitCode, $"{program} {string.Join(' ', arguments)}: {errors.GetAwaiter().GetResult()}");
        return output.GetAwaiter().GetResult();
    }
}
