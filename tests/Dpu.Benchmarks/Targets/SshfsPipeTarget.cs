using Dpu.TestSupport;

namespace Dpu.Benchmarks.Targets;

/// <summary>
/// sshfs beside sftp-server on two pipes, without ssh: no encryption, no network. Without caches and with
/// <c>sshfs_sync</c>, as ours is, or with its defaults.
/// </summary>
internal sealed class SshfsPipeTarget(string store, bool cached = false, string? name = null) : ProgramTarget(name ?? (cached ? "sshfs pipe cached" : "sshfs pipe"), store)
{
    /// <summary>What makes sshfs comparable: nothing cached, no write acknowledged before the server has it.</summary>
    public const string Options = "dir_cache=no,attr_timeout=0,entry_timeout=0,negative_timeout=0,sshfs_sync,default_permissions,allow_other";

    /// <summary>sshfs's defaults: names and attributes are believed for 20 s, whatever happens on the host.</summary>
    private const string CachedOptions = "default_permissions,allow_other";

    private protected override RunningProgram StartServer()
    {
        string server = Requires.Exists("/usr/lib/openssh/sftp-server", "apt-get install openssh-sftp-server");
        string sshfs = Requires.Tool("sshfs");
        // Each waits in opening its first pipe for the other; both then open the second. sshfs's end ends sftp-server.
        const string script = """
            set -eu
            mkfifo "$1/up" "$1/down"
            "$2" <"$1/up" >"$1/down" &
            exec "$3" "bench:$4" "$5" -f -o "passive,$6" >"$1/up" <"$1/down"
            """;
        return RunningProgram.Start("sh", ["-c", script, "sh", Folder, server, sshfs, Backing, Seen, cached ? CachedOptions : Options]);
    }
}
