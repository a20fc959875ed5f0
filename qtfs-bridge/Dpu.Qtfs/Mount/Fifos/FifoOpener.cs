using System.Buffers.Binary;
using System.Globalization;
using Dpu.Fuse;
using Dpu.Linux;
using Dpu.Qtfs.Fifos;

namespace Dpu.Qtfs.Mount.Fifos;

/// <summary>
/// A thread of this machine that is opening a FIFO: it has looked it up, and waits in open(2) for a partner next. FUSE tells of the look-up only; how
/// it is opened says the thread's own state (proc_pid_syscall(5)).
/// </summary>
/// <param name="Thread">Its number.</param>
/// <param name="Access">O_RDONLY, O_WRONLY, O_RDWR or O_PATH.</param>
/// <param name="NonBlocking">Whether it does not wait.</param>
/// <param name="Call">What the kernel says of it, which is the same as long as it is in this call.</param>
/// <param name="Program">Whose it is.</param>
internal sealed record FifoOpener(uint Thread, int Access, bool NonBlocking, string Call, FifoProgram Program)
{
    /// <summary>Finds it.</summary>
    /// <param name="thread">The thread id of a FUSE header; 0 where it is in another pid namespace.</param>
    /// <param name="uid">Its user.</param>
    /// <param name="gid">Its group.</param>
    /// <returns>Null where it is not in open(2): of another architecture, io_uring, or it asks for something else.</returns>
    public static FifoOpener? TryFind(uint thread, uint uid, uint gid)
    {
        if (thread == 0)
        {
            return null;
        }

        string folder = string.Create(CultureInfo.InvariantCulture, $"/proc/{thread}");
        try
        {
            string call = WaitingCall.Of(folder + "/syscall");
            long flags = ParseFlags(call, out ulong how);
            if (how != 0)
            {
                flags = ReadWord(folder + "/mem", how);
            }

            return flags < 0
                ? null
                : new FifoOpener(thread, FifoHolder.AccessOf(flags), (flags & fcntl.O_NONBLOCK) != 0, call, new FifoProgram((int)thread, uid, gid, GroupsOf(folder + "/status")));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // Expected: it was killed.
            return null;
        }
    }

    /// <summary>
    /// The threads of a process that are opening a FIFO by its place: by a path below /proc that leads to a descriptor which the process has of it (O_PATH). No look-up
    /// tells of them.
    /// </summary>
    /// <param name="place">The process and its descriptor.</param>
    /// <param name="program">As whom.</param>
    public static List<FifoOpener> FindAt(FifoHolder place, FifoProgram program)
    {
        List<FifoOpener> found = [];
        try
        {
            foreach (string folder in Directory.EnumerateDirectories(string.Create(CultureInfo.InvariantCulture, $"/proc/{place.Process}/task")))
            {
                string call = File.ReadAllText(folder + "/syscall");
                long flags = ParseFlags(call, out ulong how);
                if (flags >= 0 && TryParse(call.Split(' ')[how == 0 && call.StartsWith(OpenPrefix, StringComparison.Ordinal) ? 1 : 2], out ulong path)
                    && IsPlace(ReadBytes(folder + "/mem", path), place)
                    && (flags = how == 0 ? flags : ReadWord(folder + "/mem", how)) >= 0)
                {
                    found.Add(new FifoOpener(uint.Parse(Path.GetFileName(folder), CultureInfo.InvariantCulture), FifoHolder.AccessOf(flags), (flags & fcntl.O_NONBLOCK) != 0, call, program with { Pid = place.Process }));
                }
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // Expected: one of them has ended, or its memory has changed, meanwhile.
            return found;
        }

        return found;
    }

    /// <summary>Whether a path leads to a descriptor of a process: /proc/self/fd/N, or another form of the same. Pure.</summary>
    /// <param name="bytes">The path, its NUL, and what is behind it.</param>
    /// <param name="place">The process and the descriptor.</param>
    public static bool IsPlace(ReadOnlySpan<byte> bytes, FifoHolder place)
    {
        int end = bytes.IndexOf((byte)0);
        if (end < 0)
        {
            return false;
        }

        string path = System.Text.Encoding.Latin1.GetString(bytes[..end]);
        return path.StartsWith("/proc/", StringComparison.Ordinal) && path.EndsWith(string.Create(CultureInfo.InvariantCulture, $"/fd/{place.Descriptor}"), StringComparison.Ordinal);
    }

    /// <summary>Whether it is in that call still.</summary>
    public bool IsStill()
    {
        try
        {
            string now = File.ReadAllText(string.Create(CultureInfo.InvariantCulture, $"/proc/{Thread}/syscall"));
            return now == Call || now.StartsWith("running", StringComparison.Ordinal);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // Expected: it has ended.
            return false;
        }
    }

    /// <summary>The flags of a thread that is in open(2), openat(2) or openat2(2), from the text of <c>/proc/TID/syscall</c>; -1 for another call. Pure.</summary>
    /// <param name="text">The text.</param>
    /// <param name="how">Where the thread has the flags in its memory, as of openat2(2); else 0.</param>
    public static long ParseFlags(string text, out ulong how)
    {
        how = 0;
        string[] words = text.Split(' ');
        if (words.Length < 5 || !int.TryParse(words[0], NumberStyles.None, CultureInfo.InvariantCulture, out int call))
        {
            return -1;
        }

        if (call == syscalls.SYS_openat2)
        {
            return TryParse(words[3], out how) ? 0 : -1;
        }

        string? flags = call == SystemCallNumber.OpenAt ? words[3] : call == SystemCallNumber.Open ? words[2] : null;
        return flags is not null && TryParse(flags, out ulong value) ? (long)(uint)value : -1;
    }

    private static bool TryParse(string word, out ulong value)
    {
        value = 0;
        return word.StartsWith("0x", StringComparison.Ordinal) && ulong.TryParse(word.AsSpan(2), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out value);
    }

    private static string OpenPrefix => string.Create(CultureInfo.InvariantCulture, $"{SystemCallNumber.Open} ");

    private static long ReadWord(string file, ulong address)
    {
        ReadOnlySpan<byte> word = ReadBytes(file, address);
        return word.Length < sizeof(long) ? -1 : BinaryPrimitives.ReadInt64LittleEndian(word) & uint.MaxValue;
    }

    // As many as a short path has, or fewer where the memory ends.
    private static byte[] ReadBytes(string file, ulong address)
    {
        if (address > long.MaxValue)
        {
            return [];
        }

        using FileStream memory = new(file, FileMode.Open, FileAccess.Read, FileShare.ReadWrite, bufferSize: 0);
        byte[] bytes = new byte[64];
        memory.Position = (long)address;
        return bytes[..memory.Read(bytes)];
    }

    private static uint[] GroupsOf(string file)
    {
        const string Key = "Groups:";
        string? line = File.ReadLines(file).FirstOrDefault(line => line.StartsWith(Key, StringComparison.Ordinal));
        return line is null
            ? []
            : [.. line[Key.Length..].Split((char[])[' ', '\t'], StringSplitOptions.RemoveEmptyEntries).Take(IdentityPolicy.MaxGroups).Select(word => uint.Parse(word, CultureInfo.InvariantCulture))];
    }
}
