using System.Diagnostics;

namespace Dpu.EndToEnd.Tests.Survival;

/// <summary>sshfs with <c>-o reconnect</c> on the same kind of link: its SFTP server can be killed, and what crosses cut.</summary>
internal sealed class SshfsPeer : IDisposable
{
    // A server that is there for each connection anew, as sshd is.
    private const string Server =
        """
        import os, signal, socket, sys
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        if os.path.exists(sys.argv[1]): os.unlink(sys.argv[1])
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(sys.argv[1])
        listener.listen()
        print('listens', flush=True)
        while True:
            link, _ = listener.accept()
            if os.fork() == 0:
                os.dup2(link.fileno(), 0)
                os.dup2(link.fileno(), 1)
                os.execv('/usr/lib/openssh/sftp-server', ['sftp-server'])
            link.close()
        """;

    // What ssh does for sshfs: its pipes, on the link.
    private const string Client =
        """
        import os, select, socket, sys
        link = socket.socket(socket.AF_UNIX)
        link.connect(sys.argv[1])
        while True:
            for one in select.select([0, link], [], [])[0]:
                bytes = os.read(0, 65536) if one == 0 else link.recv(65536)
                if not bytes: sys.exit()
                if one == 0: link.sendall(bytes)
                else: os.write(1, bytes)
        """;

    private readonly string _server;
    private readonly string _socket;
    private readonly LinkProxy _proxy;
    private readonly RunningProgram _sshfs;
    private RunningProgram _listener;

    public SshfsPeer(string folder)
    {
        _server = Path.Combine(folder, "server.py");
        _socket = Path.Combine(folder, "server.sock");
        string client = Path.Combine(folder, "client.py"), proxy = Path.Combine(folder, "proxy.sock");
        string source = Directory.CreateDirectory(Path.Combine(folder, "source")).FullName;
        Mount = Directory.CreateDirectory(Path.Combine(folder, "mount")).FullName;
        File.WriteAllText(_server, Server);
        File.WriteAllText(client, Client);
        string command = Path.Combine(folder, "client");
        File.WriteAllText(command, $"#!/bin/sh\nexec /usr/bin/python3 -S {client} {proxy}\n");
        File.SetUnixFileMode(command, UnixFileMode.UserRead | UnixFileMode.UserExecute);
        _listener = StartServer();
        _proxy = new LinkProxy(proxy, _socket);
        _sshfs = RunningProgram.Start(
            "sshfs",
            ["-f", "-o", $"ssh_command={command}", "-o", "reconnect,dir_cache=no,attr_timeout=0,entry_timeout=0,sshfs_sync", $"nobody@localhost:{source}", Mount]);
        Pair.WaitMounted(Mount);
    }

    public string Mount { get; }

    /// <summary>As of <see cref="FaultyPair.Let"/>; of its kinds there are cuts, and kills of the server.</summary>
    public FaultRecord Let(Fault fault, string load)
    {
        long gone = Stopwatch.GetTimestamp();
        if (fault.Kind == FaultKind.Cut)
        {
            Task<long> cut = _proxy.CloseAfter(fault.Bytes);
            if (!cut.Wait(TimeSpan.FromSeconds(2)))
            {
                _proxy.CloseNow();
            }

            gone = cut.GetAwaiter().GetResult();
            FaultyPair.Pause(fault.Outage - Stopwatch.GetElapsedTime(gone));
            _proxy.Closed = false;
        }
        else
        {
            _listener.Kill();
            _listener.Dispose();
            _proxy.Cut();
            _listener = StartServer();
        }

        return new FaultRecord(fault, load, FaultyPair.Nanoseconds(gone), FaultyPair.Nanoseconds(Stopwatch.GetTimestamp()));
    }

    public void Dispose()
    {
        ExternalProgram.Run("umount", ["-l", Mount], Pair.Limit);
        _sshfs.Dispose();
        _proxy.Dispose();
        _listener.Dispose();
    }

    private RunningProgram StartServer()
    {
        var server = RunningProgram.Start("/usr/bin/python3", ["-S", _server, _socket]);
        server.WaitForLine(line => line == "listens", Pair.Limit);
        return server;
    }
}
