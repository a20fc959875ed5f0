using Dpu.TestSupport;

namespace Dpu.Benchmarks.Targets;

/// <summary>sshfs over ssh on the loopback interface: encrypted and authenticated, as people run it. No caches.</summary>
internal sealed class SshfsTarget(string store) : ProgramTarget("sshfs ssh", store)
{
    private PrivateSshd? daemon;

    public override void Abort()
    {
        base.Abort();
        daemon?.Daemon.Kill();
    }

    public override void Dispose()
    {
        base.Dispose();
        daemon?.Dispose();
    }

    private protected override RunningProgram StartServer()
    {
        string sshfs = Requires.Tool("sshfs");
        daemon = PrivateSshd.Start(Folder, StartLimit);
        string ssh = $"ssh {string.Join(' ', daemon.ClientOptions)}";
        return RunningProgram.Start(sshfs, [$"127.0.0.1:{Backing}", Seen, "-f", "-p", daemon.Port, "-o", $"ssh_command={ssh}", "-o", SshfsPipeTarget.Options]);
    }
}
