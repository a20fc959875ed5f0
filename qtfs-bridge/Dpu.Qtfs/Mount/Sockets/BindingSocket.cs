using System.Globalization;
using Dpu.Linux;
using Dpu.Linux.Sockets;
using Dpu.Qtfs.Export.Sockets;

namespace Dpu.Qtfs.Mount.Sockets;

/// <summary>
/// The socket of a thread that is in bind(2), and waits for the file which that makes. FUSE tells of the file only: which socket it is
/// for says the thread's own state (proc_pid_syscall(5)), of which type it is the kernel (sock_diag(7)).
/// </summary>
internal sealed class BindingSocket : IDisposable
{
    private readonly UnixDiagnosis _diagnosis;
    private readonly uint _number;

    private BindingSocket(UnixDiagnosis diagnosis, uint number, int type) => (_diagnosis, _number, Type) = (diagnosis, number, type);

    /// <summary>SOCK_STREAM, SOCK_DGRAM or SOCK_SEQPACKET.</summary>
    public int Type { get; }

    /// <summary>What it is now; nothing where it is closed. For one thread at a time.</summary>
    public BoundSocket Now => _diagnosis.FindSocket(_number);

    /// <summary>Finds it.</summary>
    /// <param name="thread">The thread id of a FUSE header; 0 where it is in another pid namespace.</param>
    /// <returns>Null where the thread is not in bind(2), or it is not known with what: of another architecture, or io_uring.</returns>
    public static BindingSocket? TryFind(uint thread)
    {
        if (thread == 0)
        {
            return null;
        }

        string folder = string.Create(CultureInfo.InvariantCulture, $"/proc/{thread}");
        try
        {
            int descriptor = ParseCall(WaitingCall.Of(folder + "/syscall"));
            if (descriptor < 0 || !TryParseLink(LinkOf(string.Create(CultureInfo.InvariantCulture, $"{folder}/fd/{descriptor}")), out uint number))
            {
                return null;
            }

            string name = LinkOf(folder + "/ns/net");
            UnixDiagnosis? diagnosis = name == LinkOf("/proc/self/ns/net") ? UnixDiagnosis.TryOpen(single: true) : UnixDiagnosis.TryOpenIn(folder + "/ns/net", single: true);
            BoundSocket found = diagnosis?.FindSocket(number) ?? default;
            if (found.Type != 0)
            {
                return new BindingSocket(diagnosis!, number, found.Type);
            }

            diagnosis?.Dispose();
            return null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // Expected: it was killed.
            return null;
        }
    }

    /// <summary>The descriptor that a thread in bind(2) binds, from the text of <c>/proc/TID/syscall</c>; -1 for another call. Pure.</summary>
    public static int ParseCall(string text)
    {
        string[] words = text.Split(' ');
        return words.Length > 2 && words[0] == SystemCallNumber.Bind.ToString(CultureInfo.InvariantCulture) && words[1].StartsWith("0x", StringComparison.Ordinal)
            && ulong.TryParse(words[1].AsSpan(2), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out ulong descriptor) && descriptor <= int.MaxValue
            ? (int)descriptor
            : -1;
    }

    /// <summary>The number in what a socket's descriptor links to, <c>socket:[NUMBER]</c>; false for another file. Pure.</summary>
    public static bool TryParseLink(string target, out uint number)
    {
        number = 0;
        return target.StartsWith("socket:[", StringComparison.Ordinal) && target.EndsWith(']')
            && uint.TryParse(target.AsSpan("socket:[".Length..^1), NumberStyles.None, CultureInfo.InvariantCulture, out number);
    }

    public void Dispose() => _diagnosis.Dispose();

    private static string LinkOf(string path) => File.ResolveLinkTarget(path, returnFinalTarget: false)?.Name ?? "";
}
