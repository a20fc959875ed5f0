using System.ComponentModel;
using System.Diagnostics;
using System.Globalization;
using System.Text.Json;

namespace Dpu.Linux.Tests.Layout;

/// <summary>A C compiler and the headers of one architecture.</summary>
/// <param name="Architecture"><c>x64</c> or <c>arm64</c>.</param>
/// <param name="Program">The compiler's program.</param>
/// <param name="Package">The Debian package that brings it.</param>
internal sealed record Compiler(string Architecture, string Program, string Package)
{
    private static readonly TimeSpan Limit = TimeSpan.FromMinutes(1);

    /// <summary>Headers for what no packaged one declares yet; each steps back where the system's own does.</summary>
    private static readonly string OwnHeaders = Path.Combine(AppContext.BaseDirectory, "Layout", "Headers");

    internal static readonly Compiler X64 = new("x64", "x86_64-linux-gnu-gcc", "gcc libc6-dev");
    internal static readonly Compiler Arm64 = new("arm64", "aarch64-linux-gnu-gcc", "gcc-aarch64-linux-gnu libc6-dev-arm64-cross");

    internal static IReadOnlyList<Compiler> All { get; } = [X64, Arm64];

    /// <summary>The kernel version of the headers that this compiler finds by itself.</summary>
    internal Version HeadersVersion()
    {
        string text = Run(["-E", "-P", "-"], "#include <linux/version.h>\nLINUX_VERSION_CODE\n", out int status, out string errors);
        Assert.AreEqual(0, status, $"{Program} did not read linux/version.h: {errors}. Install {Package}.");
        int code = int.Parse(text.Trim(), CultureInfo.InvariantCulture);
        return new Version(code >> 16, (code >> 8) & 255);
    }

    /// <summary>Compiles a program for its errors only; returns them as (line, message).</summary>
    internal IReadOnlyList<(int Line, string Message)> Check(string source, IEnumerable<string> options)
    {
        Run(["-x", "c", "-std=gnu17", "-fsyntax-only", "-fmax-errors=0", "-fdiagnostics-format=json", "-I", OwnHeaders, .. options, "-"], source, out int status, out string errors);
        var found = new List<(int, string)>();
        // One line of JSON; after a missing header "compilation terminated." follows it.
        using (JsonDocument document = JsonDocument.Parse(errors.Split('\n').Single(line => line.StartsWith('['))))
        {
            foreach (JsonElement diagnostic in document.RootElement.EnumerateArray())
            {
                if (diagnostic.GetProperty("kind").GetString() is not ("error" or "fatal error"))
                {
                    continue;
                }

                JsonElement caret = diagnostic.GetProperty("locations")[0].GetProperty("caret");
                bool ours = caret.GetProperty("file").GetString() == "<stdin>";
                found.Add((ours ? caret.GetProperty("line").GetInt32() : 0,
                    (ours ? "" : caret.GetProperty("file").GetString() + ": ") + diagnostic.GetProperty("message").GetString()));
            }
        }

        Assert.AreEqual(found.Count == 0, status == 0, $"{Program} ended with {status}, which its diagnostics do not explain: {errors}");
        return found;
    }

    private string Run(string[] arguments, string input, out int status, out string errors)
    {
        var start = new ProcessStartInfo(Program) { RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true };
        Array.ForEach(arguments, start.ArgumentList.Add);
        start.Environment["LC_ALL"] = "C";
        Process process;
        try
        {
            process = Process.Start(start)!;
        }
        catch (Win32Exception missing)
        {
            throw new AssertFailedException($"{Program} could not be started ({missing.Message}). Install {Package}.");
        }

        using (process)
        {
            Task<string> outputText = process.StandardOutput.ReadToEndAsync();
            Task<string> errorText = process.StandardError.ReadToEndAsync();
            process.StandardInput.Write(input);
            process.StandardInput.Close();
            if (!process.WaitForExit(Limit))
            {
                process.Kill();
                throw new AssertFailedException($"{Program} did not end within {Limit}.");
            }

            process.WaitForExit();
            status = process.ExitCode;
            errors = errorText.GetAwaiter().GetResult();
            return outputText.GetAwaiter().GetResult();
        }
    }
}
