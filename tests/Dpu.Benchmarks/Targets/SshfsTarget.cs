using System.Globalization;
using System.Net;
using System.Net.Sockets;
using Dpu.TestSupport;

namespace Dpu.Benchmarks.Targets;

/// <summary>sshfs over ssh on the loopback interface: encrypted and authenticated, as people run it. No caches.</summary>
internal sealed class SshfsTarget(string store) : ProgramTarget("sshfs ssh", store)
{
    private static readonly TimeSpan KeyLimit = TimeSpan.FromSeconds(30);

    private RunningProgram? daemon;

    public override void Abort()
    {
        base.Abort();
        daemon?.Kill();
    }

    public override void Dispose()
    {
        base.Dispose();
        daemon?.Dispose();
    }

    private protected override RunningProgram StartServer()
    {
        string sshfs = Requires.Tool("sshfs");
        string sshd = Requires.Tool("sshd");
        string port = FreePort().ToString(CultureInfo.InvariantCulture);
        foreach (string key in (string[])["host", "user"])
        {
            ExternalProgram.Check(Requires.Tool("ssh-keygen"), ["-q", "-t", "ed25519", "-N", "", "-f", Path.Combine(Folder, key)], KeyLimit);
        }

        string configuration = Path.Combine(Folder, "sshd_config");
        File.WriteAllLines(configuration,
        [
            "ListenAddress 127.0.0.1",
            $"Port {port}",
            $"HostKey {Folder}/host",
            $"AuthorizedKeysFile {Folder}/user.pub",
            "StrictModes no",
            "UsePAM yes",
            "PasswordAuthentication no",
            "KbdInteractiveAuthentication no",
            "PermitRootLogin prohibit-password",
            "PidFile none",
            "Subsystem sftp /usr/lib/openssh/sftp-server",
        ]);

        // sshd insists on /run/sshd, which only its service makes: give it a /run of its own.
        const string script = "mount -t tmpfs tmpfs /run && mkdir -m 755 /run/sshd && exec \"$1\" -D -e -f \"$2\"";
        daemon = RunningProgram.Start("unshare", ["--mount", "sh", "-c", script, "sh", sshd, configuration]);
        daemon.WaitForLine(line => line.Contains("listening on", StringComparison.Ordinal), StartLimit);
        string ssh = $"ssh -F none -i {Folder}/user -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR -o BatchMode=yes";
        return RunningProgram.Start(sshfs, [$"127.0.0.1:{Backing}", Seen, "-f", "-p", port, "-o", $"ssh_command={ssh}", "-o", SshfsPipeTarget.Options]);
    }

    private static int FreePort()
    {
        using TcpListener listener = new(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }
}
