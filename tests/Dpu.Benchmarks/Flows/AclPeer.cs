using System.Buffers.Binary;
using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using Dpu.Benchmarks.Harness;
using Dpu.Flows.Keys;
using Dpu.TestSupport;

namespace Dpu.Benchmarks.Flows;

/// <summary>DPDK's rte_acl in a process of its own, compiled here against Debian's libdpdk.</summary>
internal sealed class AclPeer : IDisposable
{
    private static readonly TimeSpan CompileLimit = TimeSpan.FromMinutes(1);
    private readonly Process process;
    private readonly string results;

    private AclPeer(Process process, string results) => (this.process, this.results) = (process, results);

    /// <summary>How long it took to compile the rules.</summary>
    public TimeSpan BuildTime { get; private set; }

    /// <summary>Compiles the program, and returns its path.</summary>
    public static string Compile(string folder)
    {
        string source = Requires.Exists(Path.Combine(Repository.Root, "tests/Dpu.Benchmarks/Flows/rte_acl_peer.c"), "run it from a checkout");
        string flags = ExternalProgram.Check(Requires.Tool("pkg-config"), ["--cflags", "libdpdk"], CompileLimit).Trim();
        string program = Path.Combine(folder, "rte_acl_peer");
        ExternalProgram.Check(
            Requires.Tool("gcc"), ["-O3", .. flags.Split(' ', StringSplitOptions.RemoveEmptyEntries), "-o", program, source, "-lrte_acl", "-lrte_eal"], CompileLimit);
        return program;
    }

    /// <summary>Starts it on rules and headers, and waits until it has compiled them.</summary>
    public static AclPeer Start(string program, string folder, ClassicRule[] rules, KeyBuffer headers, int processor)
    {
        string ruleFile = Path.Combine(folder, "rules"), headerFile = Path.Combine(folder, "headers"), resultFile = Path.Combine(folder, "results");
        File.WriteAllBytes(ruleFile, [.. rules.SelectMany(Bytes)]);
        byte[] bytes = new byte[headers.Capacity * 16];
        for (int i = 0; i < headers.Capacity; i++)
        {
            Span<byte> header = bytes.AsSpan(i * 16);
            ref FlowKey key = ref headers[i];
            header[0] = key.IpProto;
            BinaryPrimitives.WriteUInt32BigEndian(header[4..], key.IpSrc.Word0);
            BinaryPrimitives.WriteUInt32BigEndian(header[8..], key.IpDst.Word0);
            BinaryPrimitives.WriteUInt16BigEndian(header[12..], key.TpSrc);
            BinaryPrimitives.WriteUInt16BigEndian(header[14..], key.TpDst);
        }

        File.WriteAllBytes(headerFile, bytes);
        ProcessStartInfo start = new(Requires.Tool("taskset"), ["-c", processor.ToString(CultureInfo.InvariantCulture), program, ruleFile, headerFile, resultFile])
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
        };
        AclPeer peer = new(Process.Start(start)!, resultFile);
        string line;
        do
        {
            // DPDK's own messages come before.
            line = peer.ReadLine(TimeSpan.FromMinutes(2));
        }
        while (!line.StartsWith("built ", StringComparison.Ordinal));
        string[] built = line.Split(' ');
        peer.BuildTime = TimeSpan.FromSeconds(double.Parse(built[1], CultureInfo.InvariantCulture));
        return peer;
    }

    /// <summary>Millions of headers a second; <paramref name="scalar"/>, or its fastest way on this machine.</summary>
    public double Run(bool scalar)
    {
        process.StandardInput.WriteLine(scalar ? "scalar" : "best");
        process.StandardInput.Flush();
        return double.Parse(ReadLine(TimeSpan.FromSeconds(30)), CultureInfo.InvariantCulture);
    }

    /// <summary>The rule of each header, from 1 on, or 0, after the first run.</summary>
    public uint[] Results() => MemoryMarshal.Cast<byte, uint>(File.ReadAllBytes(results)).ToArray();

    public void Dispose()
    {
        process.StandardInput.Close();
        if (!process.WaitForExit(TimeSpan.FromSeconds(10)))
        {
            process.Kill();
        }

        process.Dispose();
    }

    private string ReadLine(TimeSpan limit)
    {
        Task<string?> line = process.StandardOutput.ReadLineAsync();
        return line.Wait(limit) && line.Result is { } text ? text : throw new UnavailableException("rte_acl ended, or did not answer in time; its messages are above");
    }

    private static byte[] Bytes(ClassicRule rule)
    {
        byte[] bytes = new byte[32];
        BinaryPrimitives.WriteUInt32LittleEndian(bytes, rule.Source);
        BinaryPrimitives.WriteInt32LittleEndian(bytes.AsSpan(4), rule.SourceLength);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(8), rule.Destination);
        BinaryPrimitives.WriteInt32LittleEndian(bytes.AsSpan(12), rule.DestinationLength);
        ushort[] ports = [rule.SourcePorts.Low, rule.SourcePorts.High, rule.DestinationPorts.Low, rule.DestinationPorts.High];
        for (int i = 0; i < 4; i++)
        {
            BinaryPrimitives.WriteUInt16LittleEndian(bytes.AsSpan(16 + (i * 2)), ports[i]);
        }

        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(24), rule.Protocol);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(28), rule.ProtocolMask);
        return bytes;
    }
}
