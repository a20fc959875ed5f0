namespace Dpu.EndToEnd.Tests.Lab;

/// <summary>sshfs over a pipe to an SFTP server on this machine, which can be stopped.</summary>
internal sealed class Sshfs : IDisposable
{
    private readonly string _target;
    private readonly string _pid;

    public Sshfs(string folder, string source, string target)
    {
        _target = target;
        _pid = Path.Combine(folder, "sftp.pid");
        string command = Path.Combine(folder, "sftp");
        File.WriteAllText(command, $"#!/bin/sh\necho $$ > {_pid}\nexec /usr/lib/openssh/sftp-server\n");
        File.SetUnixFileMode(command, UnixFileMode.UserRead | UnixFileMode.UserExecute);
        ExternalProgram.Check("sshfs", ["-o", $"ssh_command={command}", "-o", "dir_cache=no", $"nobody@localhost:{source}", target], Pair.Limit);
    }

    public void Signal(string name) => ExternalProgram.Check("kill", [$"-{name}", File.ReadAllText(_pid).Trim()], Pair.Limit);

    public void Dispose() => ExternalProgram.Run("umount", ["-l", _target], Pair.Limit);
}
