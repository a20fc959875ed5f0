using System.Globalization;
using System.Text.Json.Nodes;
using Dpu.TestSupport;

namespace Dpu.EndToEnd.Tests.Lab;

/// <summary>
/// A runtime in pid and mount namespaces of its own, so that its processes have other numbers than the host's, and some
/// the same. <see cref="Dispose"/> ends the namespaces with all that is in them.
/// </summary>
internal sealed class NamespacedRuntime : IDisposable
{
    private readonly RunningProgram _program;
    private readonly string _init;
    private readonly string _socket;

    /// <summary>Starts it, and waits until all of its configured mounts stand.</summary>
    public NamespacedRuntime(Pair pair, JsonObject configuration)
    {
        string file = Path.Combine(pair.Folder, "namespaced.json");
        File.WriteAllText(file, configuration.ToJsonString());
        _socket = configuration["control"]!["socket"]!.GetValue<string>();
        _program = RunningProgram.Start(
            "unshare",
            [
                "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation", "private",
                "bash", "-c", "\"$0\" --config \"$1\" & child=$!; trap 'kill -TERM $child; wait $child' TERM; echo started; wait $child", Repository.Program("Dpu.Runtime", "dpu-runtime"), file,
            ]);
        _program.WaitForLine(line => line == "started", Pair.Limit);
        string own = _program.Id.ToString(CultureInfo.InvariantCulture);
        _init = File.ReadAllText($"/proc/{own}/task/{own}/children").Trim();
        int wanted = configuration["mounts"]!.AsArray().Count;
        try
        {
            Eventually.True(() => Ctl("mounts", "--json").Output.Split("\"state\": \"mounted\"").Length == wanted + 1, Pair.Limit, $"{wanted} mounts");
        }
        catch (Exception e)
        {
            string log = _program.Error + Ctl("mounts").Output;
            _program.Dispose();
            throw new InvalidOperationException($"{e.Message}\n{log}", e);
        }
    }

    /// <summary>What it has logged so far.</summary>
    public string Log => _program.Error;

    /// <summary>Runs dpuctl on its socket.</summary>
    public ProgramResult Ctl(params string[] arguments) =>
        ExternalProgram.Run(Repository.Program("Dpu.Ctl", "dpuctl"), ["--socket", _socket, .. arguments], Pair.Limit);

    /// <summary>Runs a shell program beside the runtime, as the leader of a session of its own; what it wrote.</summary>
    public string Run(string program, params string[] arguments) =>
        ExternalProgram.Check("nsenter", ["--target", _init, "--mount", "--pid", "--wdns=/", "setsid", "--wait", "bash", "-euc", program, "sh", .. arguments], Pair.Limit);

    /// <summary>As <see cref="Run"/>, where the trees of the host are in the places of the DPU's.</summary>
    /// <param name="proc">The mount that is on /proc there.</param>
    /// <param name="sys">The mount that is on /sys there; null for the DPU's own.</param>
    /// <param name="program">The program.</param>
    /// <param name="arguments">Its arguments.</param>
    public string RunInView(string proc, string? sys, string program, params string[] arguments) => Run(
        """
        export VIEW_PROC=$1 VIEW_SYS=$2; shift 2
        exec unshare --mount --propagation private bash -euc '
            mount --rbind "$VIEW_PROC" /proc
            [ -z "$VIEW_SYS" ] || mount --rbind "$VIEW_SYS" /sys
            program=$1; shift
            exec bash -euc "$program" sh "$@"' sh "$@"
        """,
        [proc, sys ?? "", program, .. arguments]);

    /// <summary>Starts a shell program beside the runtime, as <see cref="Run"/> does.</summary>
    public RunningProgram Start(string program, params string[] arguments) =>
        RunningProgram.Start("nsenter", ["--target", _init, "--mount", "--pid", "--wdns=/", "setsid", "--wait", "bash", "-euc", program, "sh", .. arguments]);

    public void Dispose()
    {
        ExternalProgram.Run("kill", ["-TERM", _init], Pair.Limit);
        if (!_program.WaitForExit(Pair.Limit))
        {
            _program.Kill();
        }

        _program.Dispose();
    }
}
