using System.Collections.Concurrent;
using System.ComponentModel;
using System.Diagnostics;

namespace Dpu.Rpc.Tests.Support;

/// <summary>A foreign program that a test talks to. Its tree is killed on disposal, or when a wait takes longer than the limit.</summary>
internal sealed class Peer : IDisposable
{
    public static readonly TimeSpan Limit = TimeSpan.FromSeconds(30);

    private readonly Process process;
    private readonly BlockingCollection<string> lines = [];
    private readonly ConcurrentQueue<string> errors = new();

    private Peer(Process process) => this.process = process;

    /// <summary>The address that a server printed, e.g. <c>http://127.0.0.1:4711</c>.</summary>
    public Uri Address { get; private set; } = new("http://localhost");

    /// <summary>Starts a server and waits for its line "LISTENING port".</summary>
    public static Peer StartServer(string program, params string[] arguments)
    {
        Peer peer = Start(program, arguments);
        try
        {
            string line = peer.ReadLine("LISTENING");
            peer.Address = new Uri($"http://127.0.0.1:{line.Split(' ')[1]}");
            return peer;
        }
        catch
        {
            peer.Dispose();
            throw;
        }
    }

    /// <summary>Runs a program to its end and fails with what it wrote unless it exits with 0.</summary>
    public static void Run(string program, params string[] arguments)
    {
        using Peer peer = Start(program, arguments);
        peer.process.StandardInput.Close();
        if (!peer.process.WaitForExit(Limit))
        {
            Assert.Fail($"{program} {string.Join(' ', arguments)} did not end within {Limit.TotalSeconds} s.\n{peer.Errors}");
        }

        // Also waits for the last of its output.
        peer.process.WaitForExit();
        Assert.AreEqual(0, peer.process.ExitCode, $"{program} {string.Join(' ', arguments)}\n{peer.Errors}");
    }

    /// <summary>The next line of the program that begins so; others are skipped.</summary>
    public string ReadLine(string beginning)
    {
        using var limit = new CancellationTokenSource(Limit);
        try
        {
            while (true)
            {
                string line = lines.Take(limit.Token);
                if (line.StartsWith(beginning, StringComparison.Ordinal))
                {
                    return line;
                }
            }
        }
        catch (Exception e) when (e is OperationCanceledException or InvalidOperationException)
        {
            throw new AssertFailedException($"{process.StartInfo.FileName} printed no line '{beginning}…' within {Limit.TotalSeconds} s.\n{Errors}", e);
        }
    }

    public void Dispose()
    {
        try
        {
            process.Kill(entireProcessTree: true);
        }
        catch (InvalidOperationException)
        {
            // Expected: it has ended by itself.
        }

        process.WaitForExit();
        process.Dispose();
        lines.Dispose();
    }

    private static Peer Start(string program, string[] arguments)
    {
        var start = new ProcessStartInfo(program, arguments)
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        start.Environment["PROTO_ROOT"] = PeerFolder.ProtoRoot;

        // The peers speak to this machine only; a proxy of the environment is none of theirs.
        foreach (string proxy in new[] { "http_proxy", "https_proxy", "grpc_proxy", "HTTP_PROXY", "HTTPS_PROXY" })
        {
            start.Environment.Remove(proxy);
        }

        var peer = new Peer(new Process { StartInfo = start });
        peer.process.OutputDataReceived += (_, e) => peer.OnOutput(e.Data);
        peer.process.ErrorDataReceived += (_, e) => peer.errors.Enqueue(e.Data ?? "");
        try
        {
            peer.process.Start();
        }
        catch (Win32Exception e)
        {
            throw new AssertFailedException($"The test needs the program '{program}', which does not start: {e.Message}. './dev test' installs it.", e);
        }

        peer.process.BeginOutputReadLine();
        peer.process.BeginErrorReadLine();
        return peer;
    }

    private string Errors => string.Join('\n', errors);

    private void OnOutput(string? line)
    {
        try
        {
            if (line is null)
            {
                lines.CompleteAdding();
            }
            else
            {
                lines.Add(line);
            }
        }
        catch (ObjectDisposedException)
        {
            // Expected: the last output of a peer that is being disposed.
        }
    }
}
