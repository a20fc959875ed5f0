using System.ComponentModel;
using System.Diagnostics;

namespace Dpu.Link.Tests;

/// <summary>An external program with a time limit; a missing one fails the test by its name.</summary>
internal sealed class Tool : IDisposable
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(30);
    private readonly Process _process;
    private readonly Task<string> _errors;

    internal Tool(string name, params string[] arguments)
    {
        var start = new ProcessStartInfo(name, arguments) { RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true };
        try
        {
            _process = Process.Start(start)!;
        }
        catch (Win32Exception e)
        {
            throw new AssertFailedException($"This test needs the program {name}: {e.Message}", e);
        }

        _errors = _process.StandardError.ReadToEndAsync();
    }

    internal int Id => _process.Id;

    internal static (int Exit, string Output) Run(string name, params string[] arguments)
    {
        using var tool = new Tool(name, arguments);
        return tool.Finish();
    }

    internal static void Must(string name, params string[] arguments)
    {
        var (exit, output) = Run(name, arguments);
        Assert.AreEqual(0, exit, $"{name} {string.Join(' ', arguments)}: {output}");
    }

    internal void Say(string line)
    {
        _process.StandardInput.WriteLine(line);
        _process.StandardInput.Flush();
    }

    internal string Line()
    {
        var line = _process.StandardOutput.ReadLineAsync();
        return line.Wait(Limit) && line.Result is { } text ? text : throw new AssertFailedException($"The program ended or said nothing: {Errors()}");
    }

    internal (int Exit, string Output) Finish()
    {
        _process.StandardInput.Close();
        var output = _process.StandardOutput.ReadToEndAsync();
        Assert.IsTrue(_process.WaitForExit(Limit), $"{_process.StartInfo.FileName} did not end within {Limit}");
        return (_process.ExitCode, output.GetAwaiter().GetResult() + _errors.GetAwaiter().GetResult());
    }

    public void Dispose()
    {
        if (!_process.HasExited)
        {
            _process.Kill(entireProcessTree: true);
            _process.WaitForExit(Limit);
        }

        _process.Dispose();
    }

    private string Errors() => _process.HasExited ? _errors.GetAwaiter().GetResult() : "it still runs";
}
