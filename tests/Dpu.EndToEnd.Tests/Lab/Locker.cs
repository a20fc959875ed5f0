using System.Diagnostics;
using System.Globalization;

namespace Dpu.EndToEnd.Tests.Lab;

/// <summary>A process that takes locks as it is told (<c>locker.c</c>). Killed on <see cref="Dispose"/>.</summary>
internal sealed class Locker : IDisposable
{
    private static readonly Lazy<string> s_program = new(Compile);
    private readonly Process _process;
    private Task<string?> _answer = Task.FromResult<string?>(null);

    /// <summary>Starts one, with the file open for reading and writing as number 0.</summary>
    public Locker(string? file = null, string access = "rw")
    {
        _process = Process.Start(new ProcessStartInfo(s_program.Value) { RedirectStandardInput = true, RedirectStandardOutput = true })!;
        if (file is not null)
        {
            Assert.AreEqual("0", Ask($"open 0 {file} {access}"));
        }
    }

    public int Id => _process.Id;

    /// <summary>Whether the last command has not been answered.</summary>
    public bool IsWaiting => !_answer.IsCompleted;

    /// <summary>Gives a command, whose answer may take long.</summary>
    public void Tell(string command)
    {
        Assert.IsFalse(IsWaiting, "the last command has no answer yet");
        _process.StandardInput.WriteLine(command);
        _process.StandardInput.Flush();
        _answer = _process.StandardOutput.ReadLineAsync();
    }

    /// <summary>The answer to the last command.</summary>
    public string Answer()
    {
        Assert.IsTrue(_answer.Wait(Pair.Limit), "a locker hangs");
        return _answer.Result ?? throw new InvalidOperationException("a locker has ended");
    }

    public string Ask(string command)
    {
        Tell(command);
        return Answer();
    }

    /// <summary>Whether the process sleeps in its last command: it has called, and no answer has come.</summary>
    public void AssertWaits()
    {
        Eventually.True(
            () => !IsWaiting || File.ReadAllText($"/proc/{Id}/wchan").Contains("request_wait", StringComparison.Ordinal),
            Pair.Limit,
            "the locker's call");
        Assert.IsTrue(IsWaiting, $"answered {(_answer.IsCompleted ? _answer.Result : "")} instead of waiting");
    }

    public void Signal(string name) =>
        ExternalProgram.Check("kill", ["-" + name, Id.ToString(CultureInfo.InvariantCulture)], Pair.Limit);

    /// <summary>Kills it as kill -9 does, and waits for its end.</summary>
    public void Kill()
    {
        _process.Kill();
        Assert.IsTrue(_process.WaitForExit(Pair.Limit), "a killed locker did not end");
    }

    public void Dispose()
    {
        if (!_process.HasExited)
        {
            _process.Kill();
            _process.WaitForExit(Pair.Limit);
        }

        _process.Dispose();
    }

    private static string Compile()
    {
        string program = Path.Combine(Path.GetTempPath(), $"dpu-locker-{Environment.ProcessId}");
        ExternalProgram.Check("gcc", ["-O1", "-Wall", "-Werror", "-o", program, Repository.PathOf("tests/Dpu.EndToEnd.Tests/Lab/locker.c")], Pair.Limit);
        AppDomain.CurrentDomain.ProcessExit += (_, _) => File.Delete(program);
        return program;
    }
}
