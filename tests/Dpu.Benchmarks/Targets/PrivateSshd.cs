using System.Globalization;
using System.Net;
using System.Net.Sockets;
using Dpu.TestSupport;

namespace Dpu.Benchmarks.Targets;

/// <summary>A daemon of ssh on a free port of the loopback interface, with keys for this run alone.</summary>
internal sealed class PrivateSshd : IDisposable
{
    private static readonly TimeSpan KeyLimit = TimeSpan.FromSeconds(30);

    private readonly string folder;

    private PrivateSshd(string folder, string port, RunningProgram daemon) => (this.folder, Port, Daemon) = (folder, port, daemon);

    /// <summary>Where it listens, on 127.0.0.1.</summary>
    public string Port { get; }

    /// <summary>The one that accepts; each connection has processes of its own below it.</summary>
    public RunningProgram Daemon { get; }

    /// <summary>Options of ssh by which it is reached, none with a blank.</summary>
    public string[] ClientOptions =>
        ["-F", "none", "-i", Path.Combine(folder, "user"), "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR", "-o", "BatchMode=yes"];

    /// <summary>Starts one, and returns when it listens.</summary>
    /// <param name="folder">An existing folder of its own.</param>
    /// <param name="limit">How long that may take.</param>
    public static PrivateSshd Start(string folder, TimeSpan limit)
    {
        string sshd = Requires.Tool("sshd");
        string port = FreePort().ToString(CultureInfo.InvariantCulture);
        foreach (string key in (string[])["host", "user"])
        {
            ExternalProgram.Check(Requires.Tool("ssh-keygen"), ["-q", "-t", "ed25519", "-N", "", "-f", Path.Combine(folder, key)], KeyLimit);
        }

        string configuration = Path.Combine(folder, "sshd_config");
        File.WriteAllLines(configuration,
        [
            "ListenAddress 127.0.0.1",
            $"Port {port}",
            $"HostKey {folder}/host",
            $"AuthorizedKeysFile {folder}/user.pub",
            "StrictModes no",
            "UsePAM yes",
            "PasswordAuthentication no",
            "KbdInteractiveAuthentication no",
            "PermitRootLogin prohibit-password",
            "PidFile none",
            "MaxSessions 1000",
            "Subsystem sftp /usr/lib/openssh/sftp-server",
        ]);

        // sshd insists on /run/sshd, which only its service makes: give it a /run of its own.
        const string script = "mount -t tmpfs tmpfs /run && mkdir -m 755 /run/sshd && exec \"$1\" -D -e -f \"$2\"";
        RunningProgram daemon = RunningProgram.Start("unshare", ["--mount", "sh", "-c", script, "sh", sshd, configuration]);
        daemon.WaitForLine(line => line.Contains("listening on", StringComparison.Ordinal), limit);
        return new PrivateSshd(folder, port, daemon);
    }

    public void Dispose() => Daemon.Dispose();

    private static int FreePort()
    {
        using TcpListener listener = new(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }
}
