using System.Buffers.Binary;
using System.Diagnostics.CodeAnalysis;
using System.Text;
using Dpu.Keeper;
using Dpu.Linux;

namespace Dpu.Relay.Processes;

/// <summary>How a descriptor of a process crosses; the numbers are the wire's.</summary>
public enum ProcessDescriptorWay : byte
{
    /// <summary>The process reads from it what the DPU sends: a stream.</summary>
    ToHost = 0,

    /// <summary>The process writes into it, and the DPU gets that: a stream.</summary>
    ToDpu = 1,

    /// <summary>As programs pass it: in <see cref="ProcessSpec.Passed"/>, by order.</summary>
    Passed = 2,

    /// <summary>The process's controlling terminal: <see cref="ProcessSpec.Terminal"/>.</summary>
    Terminal = 3,
}

/// <summary>A descriptor that a process is to have.</summary>
/// <param name="Number">Its number there.</param>
/// <param name="Way">How it crosses.</param>
/// <param name="Index">Which stream, which of <see cref="ProcessSpec.Passed"/>, or which open file of the terminal; several numbers with one index are one open file.</param>
public readonly record struct ProcessDescriptor(int Number, ProcessDescriptorWay Way, int Index);

/// <summary>
/// What a process is to be: the records of <c>qtfs-bridge/native/process.h</c>, as a stub tells its runtime, the runtime the host's agent, and that one
/// dpu-launch. What is null, or empty, is not said.
/// </summary>
public sealed class ProcessSpec
{
    /// <summary>Arguments and names of the environment at most; the kernel's own bound is on their bytes.</summary>
    public const int MostStrings = 1 << 17;

    /// <summary>Descriptors at most.</summary>
    public const int MostDescriptors = 1024;

    private const int RecordHeader = 8;
    private const int DescriptorSize = 12;

    // 4,096 processors.
    private const int MostMask = 512;

    /// <summary>A path, or of <c>rexec</c> a name.</summary>
    public string Program { get; set; } = "";

    /// <summary>argv, without ends.</summary>
    public IList<byte[]> Arguments { get; init; } = [];

    /// <summary><c>NAME=value</c> each, without ends.</summary>
    public IList<byte[]> Environment { get; init; } = [];

    /// <summary>The working directory.</summary>
    public string Directory { get; set; } = "";

    /// <summary>The user and the group.</summary>
    public (uint Uid, uint Gid)? Identity { get; set; }

    /// <summary>Supplementary groups.</summary>
    public uint[]? Groups { get; set; }

    /// <summary>The mask of permissions.</summary>
    public uint? Umask { get; set; }

    /// <summary>Limits: the resource's number, soft, hard.</summary>
    public IList<(uint Resource, ulong Soft, ulong Hard)> Limits { get; init; } = [];

    /// <summary>Effective, permitted, inheritable, bounding, ambient.</summary>
    public ulong[]? Capabilities { get; set; }

    /// <summary>Blocked and ignored signals; N is bit N - 1.</summary>
    public (ulong Blocked, ulong Ignored)? Signals { get; set; }

    /// <summary>oom_score_adj.</summary>
    public int? OutOfMemory { get; set; }

    /// <summary>Policy, priority, nice.</summary>
    public (int Policy, int Priority, int Nice)? Scheduling { get; set; }

    /// <summary>From a stub: its number, its parent, its process group, its session, and the foreground group of its terminal.</summary>
    public (int Pid, int Parent, int Group, int Session, int Foreground)? Session { get; set; }

    /// <summary>The host that it is to run on; empty where the stub was told none.</summary>
    public string Host { get; set; } = "";

    /// <summary>As <c>enum process_flags</c>.</summary>
    public uint Flags { get; set; }

    /// <summary>From a stub: the descriptor that is its terminal, whether that is the process's at once, and whether it is none of the process's descriptors.</summary>
    public (int Number, bool IsForeground, bool IsBeside)? OwnTerminal { get; set; }

    /// <summary>To dpu-launch: what becomes the controlling terminal, and the pipe of <see cref="ProcessJob"/>s.</summary>
    public (int Terminal, int Jobs)? Controlling { get; set; }

    /// <summary>On the link: the controlling terminal; null for none.</summary>
    public ProcessTerminal? Terminal { get; set; }

    /// <summary>To dpu-launch: a mask of the processors on which it may run, in words of 8 bytes; null for all.</summary>
    public byte[]? Processors { get; set; }

    /// <summary>To dpu-launch: a mask of the NUMA nodes of which it may have memory, in words of 8 bytes; null for any.</summary>
    public byte[]? Nodes { get; set; }

    /// <summary>To dpu-launch: numbers of descriptors by which it enters cgroups.</summary>
    public IList<int> Cgroups { get; init; } = [];

    /// <summary>On the link: the descriptors.</summary>
    public IList<ProcessDescriptor> Descriptors { get; init; } = [];

    /// <summary>On the link: what <see cref="ProcessDescriptorWay.Passed"/> ones are, as a list of passed descriptors (<see cref="Descriptors.DescriptorKind"/>).</summary>
    public byte[] Passed { get; set; } = [];

    /// <summary>The command for people: arguments as a shell would have them, at most so many characters.</summary>
    public string Command(int most = 4096)
    {
        string text = string.Join(' ', Arguments.Take(256).Select(argument => Quote(Encoding.UTF8.GetString(argument))));
        return Link.Printable.Clean(text, most);
    }

    /// <summary>Writes the records.</summary>
    public byte[] ToBytes()
    {
        var into = new MemoryStream();
        Put(into, Kind.Program, Program);
        foreach (byte[] argument in Arguments)
        {
            Put(into, Kind.Argument, argument);
        }

        foreach (byte[] variable in Environment)
        {
            Put(into, Kind.Environment, variable);
        }

        Put(into, Kind.Directory, Directory);
        Put(into, Kind.Host, Host);
        if (Identity is { } identity)
        {
            Put(into, Kind.Identity, Numbers(identity.Uid, identity.Gid));
        }

        if (Groups is not null)
        {
            Put(into, Kind.Groups, Numbers(Groups));
        }

        if (Umask is { } umask)
        {
            Put(into, Kind.Umask, Numbers(umask));
        }

        if (Limits.Count > 0)
        {
            Put(into, Kind.Limits, [.. Limits.SelectMany(limit => (byte[])[.. Numbers(limit.Resource, 0), .. Longs(limit.Soft, limit.Hard)])]);
        }

        if (Capabilities is not null)
        {
            Put(into, Kind.Capabilities, Longs(Capabilities));
        }

        if (Signals is { } signals)
        {
            Put(into, Kind.Signals, Longs(signals.Blocked, signals.Ignored));
        }

        if (OutOfMemory is { } score)
        {
            Put(into, Kind.OutOfMemory, Numbers((uint)score));
        }

        if (Scheduling is { } scheduling)
        {
            Put(into, Kind.Scheduling, Numbers((uint)scheduling.Policy, (uint)scheduling.Priority, (uint)scheduling.Nice));
        }

        if (Session is { } session)
        {
            Put(into, Kind.Session, Numbers((uint)session.Pid, (uint)session.Parent, (uint)session.Group, (uint)session.Session, (uint)session.Foreground));
        }

        if (Flags != 0)
        {
            Put(into, Kind.Flags, Numbers(Flags));
        }

        if (OwnTerminal is { } own)
        {
            Put(into, Kind.OwnTerminal, Numbers((uint)own.Number, own.IsForeground ? process.PROCESS_FOREGROUND : process.PROCESS_BACKGROUND, own.IsBeside ? 1u : 0u));
        }

        if (Controlling is { } controlling)
        {
            Put(into, Kind.Controlling, Numbers((uint)controlling.Terminal, (uint)controlling.Jobs));
        }

        if (Terminal is { } terminal)
        {
            Put(into, Kind.Terminal, terminal.ToBytes());
        }

        foreach (int cgroup in Cgroups)
        {
            Put(into, Kind.Cgroup, Numbers((uint)cgroup));
        }

        if (Processors is not null)
        {
            Put(into, Kind.Processors, Processors);
        }

        if (Nodes is not null)
        {
            Put(into, Kind.Nodes, Nodes);
        }

        if (Descriptors.Count > 0)
        {
            Put(into, Kind.Descriptors, [.. Descriptors.SelectMany(one => Numbers((uint)one.Number, (uint)one.Way, (uint)one.Index))]);
        }

        if (Passed.Length > 0)
        {
            Put(into, Kind.Passed, Passed);
        }

        return into.ToArray();
    }

    /// <summary>Reads records, from who is not trusted.</summary>
    /// <param name="bytes">They.</param>
    /// <param name="spec">What they say.</param>
    /// <param name="problem">What is wrong with them, for people.</param>
    public static bool TryRead(ReadOnlySpan<byte> bytes, [NotNullWhen(true)] out ProcessSpec? spec, out string problem)
    {
        var read = new ProcessSpec();
        spec = null;
        problem = "";
        while (!bytes.IsEmpty)
        {
            if (bytes.Length < RecordHeader)
            {
                problem = "a record is cut short";
                return false;
            }

            var kind = (Kind)BinaryPrimitives.ReadUInt16LittleEndian(bytes);
            uint size = BinaryPrimitives.ReadUInt32LittleEndian(bytes[4..]);
            long whole = RecordHeader + ((size + 7L) & ~7L);
            if (whole > bytes.Length)
            {
                problem = $"a record of kind {(int)kind} is longer than what there is";
                return false;
            }

            if (!read.Take(kind, bytes.Slice(RecordHeader, (int)size)))
            {
                problem = $"a record of kind {(int)kind} has {size} bytes that do not fit it, or there are too many of its kind";
                return false;
            }

            bytes = bytes[(int)whole..];
        }

        spec = read;
        return true;
    }

    private bool Take(Kind kind, ReadOnlySpan<byte> bytes)
    {
        int length = bytes.Length;
        switch (kind)
        {
            case Kind.Program or Kind.Directory or Kind.Host:
                string text = Encoding.UTF8.GetString(bytes);
                if (length >= limits.PATH_MAX || bytes.Contains((byte)0))
                {
                    return false;
                }

                _ = kind == Kind.Program ? Program = text : kind == Kind.Directory ? Directory = text : Host = text;
                return true;
            case Kind.Argument or Kind.Environment:
                IList<byte[]> list = kind == Kind.Argument ? Arguments : Environment;
                list.Add(bytes.ToArray());
                return list.Count <= MostStrings && !bytes.Contains((byte)0);
            case Kind.Identity when length == 8:
                Identity = (Number(bytes, 0), Number(bytes, 1));
                return true;
            case Kind.Groups when length % 4 == 0 && length <= 4 * 65536:
                Groups = new uint[length / 4];
                for (int i = 0; i < Groups.Length; i++)
                {
                    Groups[i] = Number(bytes, i);
                }

                return true;
            case Kind.Umask when length == 4:
                Umask = Number(bytes, 0) & 0x1ff;
                return true;
            case Kind.Limits when length % 24 == 0 && length <= 24 * 64:
                for (; !bytes.IsEmpty; bytes = bytes[24..])
                {
                    Limits.Add((Number(bytes, 0), BinaryPrimitives.ReadUInt64LittleEndian(bytes[8..]), BinaryPrimitives.ReadUInt64LittleEndian(bytes[16..])));
                }

                return Limits.Count <= 64;
            case Kind.Capabilities when length == 40:
                Capabilities = new ulong[5];
                for (int i = 0; i < 5; i++)
                {
                    Capabilities[i] = BinaryPrimitives.ReadUInt64LittleEndian(bytes[(8 * i)..]);
                }

                return true;
            case Kind.Signals when length == 16:
                Signals = (BinaryPrimitives.ReadUInt64LittleEndian(bytes), BinaryPrimitives.ReadUInt64LittleEndian(bytes[8..]));
                return true;
            case Kind.OutOfMemory when length == 4:
                OutOfMemory = (int)Number(bytes, 0);
                return true;
            case Kind.Scheduling when length == 12:
                Scheduling = ((int)Number(bytes, 0), (int)Number(bytes, 1), (int)Number(bytes, 2));
                return true;
            case Kind.Session when length == 20:
                Session = ((int)Number(bytes, 0), (int)Number(bytes, 1), (int)Number(bytes, 2), (int)Number(bytes, 3), (int)Number(bytes, 4));
                return true;
            case Kind.Flags when length == 4:
                Flags = Number(bytes, 0);
                return true;
            case Kind.OwnTerminal when length == 12:
                OwnTerminal = ((int)Number(bytes, 0), Number(bytes, 1) == process.PROCESS_FOREGROUND, Number(bytes, 2) != 0);
                return true;
            case Kind.Controlling when length == 8:
                Controlling = ((int)Number(bytes, 0), (int)Number(bytes, 1));
                return true;
            case Kind.Terminal:
                Terminal = ProcessTerminal.Read(bytes);
                return Terminal is not null;
            case Kind.Cgroup when length == 4:
                Cgroups.Add((int)Number(bytes, 0));
                return Cgroups.Count <= 16;
            case Kind.Processors or Kind.Nodes when length % 8 == 0 && length is > 0 and <= MostMask:
                _ = kind == Kind.Processors ? Processors = bytes.ToArray() : Nodes = bytes.ToArray();
                return true;
            case Kind.Descriptors when length % DescriptorSize == 0 && length <= DescriptorSize * MostDescriptors:
                for (int i = 0; i < length / DescriptorSize; i++)
                {
                    Descriptors.Add(new ProcessDescriptor((int)Number(bytes, 3 * i), (ProcessDescriptorWay)Math.Min(255, Number(bytes, (3 * i) + 1)), (int)Number(bytes, (3 * i) + 2)));
                }

                return Descriptors.Count <= MostDescriptors && Descriptors.All(one => one.Number >= 0 && one.Way <= ProcessDescriptorWay.Terminal && one.Index >= 0)
                    && Descriptors.Select(one => one.Number).Distinct().Count() == Descriptors.Count;
            case Kind.Passed:
                Passed = bytes.ToArray();
                return true;
            case Kind.Identity or Kind.Groups or Kind.Umask or Kind.Limits or Kind.Capabilities or Kind.Signals or Kind.OutOfMemory or Kind.Scheduling or Kind.Session or Kind.Flags or Kind.OwnTerminal or Kind.Controlling or Kind.Cgroup or Kind.Processors or Kind.Nodes or Kind.Descriptors:
                return false;
            default:
                // A later version's.
                return true;
        }
    }

    private static uint Number(ReadOnlySpan<byte> bytes, int index) => BinaryPrimitives.ReadUInt32LittleEndian(bytes[(4 * index)..]);

    private static byte[] Numbers(params ReadOnlySpan<uint> numbers)
    {
        byte[] bytes = new byte[4 * numbers.Length];
        for (int i = 0; i < numbers.Length; i++)
        {
            BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(4 * i), numbers[i]);
        }

        return bytes;
    }

    private static byte[] Longs(params ReadOnlySpan<ulong> numbers)
    {
        byte[] bytes = new byte[8 * numbers.Length];
        for (int i = 0; i < numbers.Length; i++)
        {
            BinaryPrimitives.WriteUInt64LittleEndian(bytes.AsSpan(8 * i), numbers[i]);
        }

        return bytes;
    }

    private static void Put(MemoryStream into, Kind kind, string text)
    {
        if (text.Length > 0)
        {
            Put(into, kind, Encoding.UTF8.GetBytes(text));
        }
    }

    private static void Put(MemoryStream into, Kind kind, ReadOnlySpan<byte> content)
    {
        Span<byte> header = stackalloc byte[RecordHeader];
        header.Clear();
        BinaryPrimitives.WriteUInt16LittleEndian(header, (ushort)kind);
        BinaryPrimitives.WriteUInt32LittleEndian(header[4..], (uint)content.Length);
        into.Write(header);
        into.Write(content);
        header.Clear();
        into.Write(header[..(-content.Length & 7)]);
    }

    private static string Quote(string argument) =>
        argument.Length > 0 && argument.All(letter => char.IsAsciiLetterOrDigit(letter) || "-_./=:,+@%".Contains(letter, StringComparison.Ordinal)) ? argument : $"'{argument.Replace("'", "'\\''", StringComparison.Ordinal)}'";

    // enum process_record_kind.
    private enum Kind : ushort
    {
        Program = process.PROCESS_PROGRAM,
        Argument = process.PROCESS_ARGUMENT,
        Environment = process.PROCESS_ENVIRONMENT,
        Directory = process.PROCESS_DIRECTORY,
        Identity = process.PROCESS_IDENTITY,
        Groups = process.PROCESS_GROUPS,
        Umask = process.PROCESS_UMASK,
        Limits = process.PROCESS_LIMITS,
        Capabilities = process.PROCESS_CAPABILITIES,
        Signals = process.PROCESS_SIGNALS,
        OutOfMemory = process.PROCESS_OOM,
        Scheduling = process.PROCESS_SCHEDULING,
        Session = process.PROCESS_SESSION,
        Host = process.PROCESS_HOST,
        Flags = process.PROCESS_FLAGS,
        OwnTerminal = process.PROCESS_OWN_TERMINAL,
        Cgroup = process.PROCESS_CGROUP,
        Controlling = process.PROCESS_TERMINAL,
        Processors = process.PROCESS_PROCESSORS,
        Nodes = process.PROCESS_NODES,

        // On the link alone.
        Descriptors = 64,
        Passed = 65,
        Terminal = 66,
    }
}
