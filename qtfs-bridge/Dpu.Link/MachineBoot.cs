using System.Security.Cryptography;
using System.Text;
using Dpu.Proto.V1;
using Google.Protobuf;

namespace Dpu.Link;

/// <summary>Tells machines and their boots apart. Pure but for reading this machine's.</summary>
public static class MachineBoot
{
    private const int Size = 16;

    /// <summary>Whether one is an earlier or later boot of the same machine as the other; false where either does not say.</summary>
    public static bool IsAnotherBoot(Machine one, Machine other)
    {
        ArgumentNullException.ThrowIfNull(one);
        ArgumentNullException.ThrowIfNull(other);
        return one.MachineId.Length == Size && one.BootId.Length == Size && other.BootId.Length == Size
            && one.MachineId == other.MachineId && one.BootId != other.BootId;
    }

    /// <summary>Says which machine this is; empty where it has no id. The id itself is confidential (machine-id(5)), so that a hash goes out.</summary>
    internal static ByteString Machine()
    {
        string id = Read("/etc/machine-id");
        return id.Length == 0 ? ByteString.Empty : ByteString.CopyFrom(SHA256.HashData(Encoding.ASCII.GetBytes("dpu link " + id)), 0, Size);
    }

    /// <summary>Says which boot of it this is; empty where the kernel does not tell.</summary>
    internal static ByteString Boot() =>
        Guid.TryParse(Read("/proc/sys/kernel/random/boot_id"), out Guid boot) ? ByteString.CopyFrom(boot.ToByteArray()) : ByteString.Empty;

    private static string Read(string path)
    {
        try
        {
            return File.ReadAllText(path).Trim();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // Expected in containers without the file.
            return "";
        }
    }
}
