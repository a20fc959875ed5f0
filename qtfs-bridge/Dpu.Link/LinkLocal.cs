using System.Runtime.InteropServices;
using Dpu.Proto.V1;

namespace Dpu.Link;

/// <summary>What this end says of itself in a hello.</summary>
public sealed record LinkLocal
{
    /// <summary>Must be equal at both ends.</summary>
    public const uint CurrentMajor = 1;

    /// <summary>The lower of both ends is spoken.</summary>
    public const uint CurrentMinor = 0;

    /// <summary>Major version of the protocol.</summary>
    public uint Major { get; init; } = CurrentMajor;

    /// <summary>Minor version of the protocol.</summary>
    public uint Minor { get; init; } = CurrentMinor;

    /// <summary>Bits of features this end speaks.</summary>
    public ulong Features { get; init; }

    /// <summary>The name for links without certificates (unix); over TLS the certificate's name is said.</summary>
    public required string Name { get; init; }

    /// <summary>Which daemon, for the other end's logs.</summary>
    public string Software { get; init; } = "dpu/" + (typeof(LinkLocal).Assembly.GetName().Version?.ToString(3) ?? "0");

    /// <summary>This machine.</summary>
    public Machine Machine { get; init; } = ThisMachine();

    /// <summary>Listener: changes whenever its sessions' state was lost.</summary>
    public ulong Incarnation { get; init; } = (ulong)System.Security.Cryptography.RandomNumberGenerator.GetInt32(1, int.MaxValue) << 32
        | (uint)System.Security.Cryptography.RandomNumberGenerator.GetInt32(1, int.MaxValue);

    internal LinkVersion Version => new() { Major = Major, Minor = Minor };

    private static Machine ThisMachine() => new()
    {
        Architecture = RuntimeInformation.ProcessArchitecture switch
        {
            System.Runtime.InteropServices.Architecture.X64 => Proto.V1.Architecture.X8664,
            System.Runtime.InteropServices.Architecture.Arm64 => Proto.V1.Architecture.Arm64,
            _ => Proto.V1.Architecture.Unspecified,
        },
        PageSize = (uint)Environment.SystemPageSize,
        Kernel = File.Exists("/proc/sys/kernel/osrelease") ? File.ReadAllText("/proc/sys/kernel/osrelease").Trim() : "",
        MachineId = MachineBoot.Machine(),
        BootId = MachineBoot.Boot(),
    };
}
