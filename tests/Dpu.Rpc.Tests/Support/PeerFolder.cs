using System.Diagnostics;
using System.Security.Cryptography;
using Dpu.TestSupport;

namespace Dpu.Rpc.Tests.Support;

/// <summary>Where the peers' programs are. Those for node run from a folder of the build's artifacts with their packages beside them.</summary>
internal static class PeerFolder
{
    private static readonly TimeSpan InstallLimit = TimeSpan.FromMinutes(3);
    private static readonly Lazy<string> LazyNode = new(InstallNode);

    /// <summary>The folder of the node peers, with their packages installed.</summary>
    public static string Node => LazyNode.Value;

    public static string Python => Path.Combine(ProtoRoot, "peers", "python");

    /// <summary>The folder that holds grpc/testing/test.proto: this project's source folder.</summary>
    public static string ProtoRoot { get; } = Repository.PathOf("tests/Dpu.Rpc.Tests");

    private static string InstallNode()
    {
        string source = Path.Combine(ProtoRoot, "peers", "node");
        string folder = Repository.PathOf("artifacts/peers/node");
        Directory.CreateDirectory(folder);
        using FileStream onlyOne = OpenLock(Path.Combine(folder, ".lock"));

        byte[] lockFile = File.ReadAllBytes(Path.Combine(source, "package-lock.json"));
        string marker = Path.Combine(folder, ".installed");
        string wanted = Convert.ToHexString(SHA256.HashData(lockFile));
        foreach (string file in Directory.EnumerateFiles(source))
        {
            File.Copy(file, Path.Combine(folder, Path.GetFileName(file)), overwrite: true);
        }

        if (!File.Exists(marker) || File.ReadAllText(marker) != wanted)
        {
            Install(folder);
            File.WriteAllText(marker, wanted);
        }

        return folder;
    }

    private static void Install(string folder)
    {
        // No package's own scripts run: none of these needs one.
        var start = new ProcessStartInfo(Requires.Tool("npm"), ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"])
        {
            WorkingDirectory = folder,
            RedirectStandardError = true,
            RedirectStandardOutput = true,
        };
        using Process npm = Process.Start(start) ?? throw new AssertFailedException("'npm' did not start.");
        Task<string> output = npm.StandardOutput.ReadToEndAsync();
        Task<string> error = npm.StandardError.ReadToEndAsync();
        if (!npm.WaitForExit(InstallLimit))
        {
            npm.Kill(entireProcessTree: true);
            throw new AssertFailedException($"'npm ci' in {folder} did not end within {InstallLimit.TotalMinutes} min: is its registry reachable?");
        }

        Assert.AreEqual(0, npm.ExitCode, $"'npm ci' in {folder} failed:\n{output.Result}\n{error.Result}");
    }

    private static FileStream OpenLock(string path)
    {
        using var pause = new ManualResetEventSlim();
        long start = Stopwatch.GetTimestamp();
        while (true)
        {
            try
            {
                return new FileStream(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
            }
            catch (IOException) when (Stopwatch.GetElapsedTime(start) < InstallLimit)
            {
                // Expected: another test program is installing.
                pause.Wait(TimeSpan.FromMilliseconds(100));
            }
        }
    }
}
