using System.Text;
using Dpu.Hosting.Configuration;

namespace Dpu.HostAgent.Processes;

/// <summary>What is known of a process besides how far it has come, as it lies with the keeper. Immutable.</summary>
/// <param name="Peer">The DPU.</param>
/// <param name="Path">The program.</param>
/// <param name="Command">Its arguments, for people.</param>
/// <param name="Uid">As whom it runs.</param>
/// <param name="Cgroup">The directory of its cgroup; empty for none.</param>
/// <param name="Scope">The scope that it is in, or may be; empty for none.</param>
/// <param name="OnLinkDown">What becomes of it where its DPU stays away.</param>
/// <param name="LinkDownFor">For how long.</param>
/// <param name="Grace">Between SIGTERM and SIGKILL.</param>
/// <param name="LeftBy">The token of the process that has left this one running when it ended; empty for one that a DPU has begun.</param>
/// <param name="PidFiles">Files in which it may say its number.</param>
internal sealed record ProcessNote(
    string Peer, string Path, string Command, uint Uid, string Cgroup, string Scope, LinkDownAction OnLinkDown, TimeSpan LinkDownFor, TimeSpan Grace, string LeftBy, IReadOnlyList<string> PidFiles)
{
    // A keeper's note has 4096 bytes.
    private const int MaxCommand = 1024;
    private const string Version = "1";

    /// <summary>As the keeper has it; its parts hold no NUL.</summary>
    public byte[] ToBytes() => Encoding.UTF8.GetBytes(string.Join(
        '\0', Version, Peer, Path, Command.Length > MaxCommand ? Command[..MaxCommand] : Command, Uid.ToString(null, null), Cgroup, OnLinkDown.ToString(), LinkDownFor.Ticks.ToString(null, null), Grace.Ticks.ToString(null, null), Scope, LeftBy, string.Join('\0', PidFiles)));

    /// <summary>Reads one; null where it is none, or of a later version.</summary>
    public static ProcessNote? Read(ReadOnlySpan<byte> bytes)
    {
        string[] parts = Encoding.UTF8.GetString(bytes).Split('\0');
        return parts.Length >= 9 && parts[0] == Version && uint.TryParse(parts[4], out uint uid) && Enum.TryParse(parts[6], out LinkDownAction action)
            && long.TryParse(parts[7], out long downFor) && long.TryParse(parts[8], out long grace)
            ? new ProcessNote(parts[1], parts[2], parts[3], uid, parts[5], parts.Length > 9 ? parts[9] : "", action, new TimeSpan(downFor), new TimeSpan(grace),
                parts.Length > 10 ? parts[10] : "", [.. parts.Skip(11).Where(file => file.Length > 0)])
            : null;
    }
}
