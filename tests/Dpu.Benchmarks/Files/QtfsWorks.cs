using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using Dpu.Benchmarks.Harness;
using Dpu.Benchmarks.Targets;
using Dpu.Fuse.Wire;
using Dpu.Linux;
using static Dpu.Linux.LibC;

namespace Dpu.Benchmarks.Files;

/// <summary>The works that have bars, each on the targets that a bar or the picture needs.</summary>
internal static unsafe class QtfsWorks
{
    public const string GetAttr = "getattr";
    public const string Read4K = "read 4K QD1";
    public const string Write4K = "write 4K QD1";
    public const string Read4K8 = "read 4K QD8";
    public const string SequentialRead = "seq read 1M";
    public const string SequentialWrite = "seq write 1M";
    public const string OpenFirst = "open+read+close first";
    public const string OpenAgain = "open+read+close again";
    public const string Create = "create+write+close";
    public const string List = "readdir+stat";
    public const string Unlink = "unlink";
    public const string StatCold = "stat cold";
    public const string StatListed = "stat cold after readdir";
    public const string Allocation = "allocation";

    private const int Depth = 8;
    private static readonly string[] Plain = [Names.Native, Names.Local, Names.Libfuse, Names.Floor, Names.Remote, Names.Kept, Names.Sshfs, Names.Tls, Names.SshfsSsh];
    private static readonly string[] Large = [Names.Native, Names.Local, Names.Libfuse, Names.Remote, Names.Uring, Names.Sshfs, Names.Tls, Names.SshfsSsh];
    private static readonly string[] ByName = [Names.Native, Names.Remote, Names.Kept, Names.Cached, Names.LocalLocks, Names.Sshfs, Names.SshfsDefault];

    public static IReadOnlyList<Work<FileTarget>> All { get; } =
    [
        // The sizes of the messages, for the floor.
        new(GetAttr, "us", Better.Lower, t => OnHandle(t, 0, FileWorks.GetAttr, sizeof(fuse_getattr_in), sizeof(fuse_attr_out)), Plain),
        new(Read4K, "us", Better.Lower, t => OnHandle(t, FileWorks.Small, FileWorks.Read, sizeof(fuse_read_in), FileWorks.Small), Plain),
        new(Write4K, "us", Better.Lower, t => OnHandle(t, FileWorks.Small, FileWorks.Write, sizeof(fuse_write_in) + FileWorks.Small, sizeof(fuse_write_out)), Plain),
        new(Read4K8, "us", Better.Lower, ReadDeep, [Names.Native, Names.Local, Names.Libfuse, Names.Remote, Names.Uring, Names.Sshfs]),
        new(SequentialRead, "MB/s", Better.Higher, t => FileWorks.PerSecond(t, FileWorks.Large, FileWorks.Read).Megabytes, Large),
        new(SequentialWrite, "MB/s", Better.Higher, t => FileWorks.PerSecond(t, FileWorks.Large, FileWorks.Write).Megabytes, Large),
        new(OpenFirst, "us", Better.Lower, t => FileWorks.EachName(t, prepared: true, FileWorks.OpenReadClose, listed: true), ByName),
        new(OpenAgain, "us", Better.Lower, t => FileWorks.EachName(t, prepared: true, FileWorks.OpenReadClose, warmUps: 2), ByName),
        new(Create, "us", Better.Lower, t => FileWorks.EachName(t, prepared: false, FileWorks.Create), ByName),
        new(List, "us/file", Better.Lower, FileWorks.ReadDirectory, ByName),
        new(Unlink, "us", Better.Lower, t => FileWorks.EachName(t, prepared: true, FileWorks.Unlink), ByName),
        new(StatCold, "us", Better.Lower, t => FileWorks.EachName(t, prepared: true, FileWorks.Stat), ByName),
        new(StatListed, "us", Better.Lower, t => FileWorks.EachName(t, prepared: true, FileWorks.Stat, listed: true), ByName),
        new(Allocation, "B/request", Better.Lower, AllocationWork.Run, [Names.Remote, Names.Kept, Names.Tls]),
    ];

    private static double OnHandle(FileTarget target, int size, FileWorks.OnHandle call, int request, int reply) =>
        FileWorks.PerSecond(target, size, call).Microseconds
        + target.LinkMicroseconds(sizeof(fuse_in_header) + request, sizeof(fuse_out_header) + reply);

    // Eight threads with a descriptor each, so that eight requests are under way; microseconds a read over all of them.
    private static double ReadDeep(FileTarget target)
    {
        string folder = target.FreshDirectory();
        File.WriteAllBytes(Path.Combine(target.Backing, folder, "file"), new byte[FileWorks.FileSize]);
        using NativePath path = new(Path.Combine(target.Seen, folder, "file"));
        byte* name = path.Bytes;
        long operations = 0;
        Exception? failure = null;
        using Barrier ready = new(Depth + 1);
        Thread[] threads = [.. Enumerable.Range(0, Depth).Select(number => new Thread(() =>
        {
            try
            {
                Interlocked.Add(ref operations, ReadAlone(name, number, ready));
            }
            catch (IOException e)
            {
                Volatile.Write(ref failure, e);
            }
        })
        {
            IsBackground = true,
            Name = string.Create(CultureInfo.InvariantCulture, $"bench{number}"),
        })];
        Array.ForEach(threads, t => t.Start());
        ready.SignalAndWait();
        long start = Stopwatch.GetTimestamp();
        Array.ForEach(threads, t => t.Join());
        return failure is null ? Stopwatch.GetElapsedTime(start).TotalMicroseconds / operations : throw failure;
    }

    private static long ReadAlone(byte* path, int number, Barrier ready)
    {
        // SAFETY: a page, which every read fills; the path is the caller's until this thread has ended.
        byte* buffer = (byte*)NativeMemory.AlignedAlloc(FileWorks.Small, FileWorks.Small);
        int file = openat(fcntl.AT_FDCWD, path, fcntl.O_RDONLY | fcntl.O_DIRECT | fcntl.O_CLOEXEC, 0);
        try
        {
            // Even where it failed: the others wait for all.
            ready.SignalAndWait();
            Native.Check(file, "open");
            long operations = 0, offset = number * (FileWorks.FileSize / Depth);
            long start = Stopwatch.GetTimestamp();
            while (Stopwatch.GetElapsedTime(start) < FileWorks.Duration)
            {
                FileWorks.Read(file, buffer, FileWorks.Small, offset);
                offset = (offset + FileWorks.Small) % FileWorks.FileSize;
                operations++;
            }

            return operations;
        }
        finally
        {
            _ = close(file);
            NativeMemory.AlignedFree(buffer);
        }
    }

    /// <summary>The targets' names.</summary>
    internal static class Names
    {
        public const string Native = "native";
        public const string Local = "local";
        public const string Libfuse = "libfuse";
        public const string Floor = "floor";
        public const string Remote = "remote";
        public const string Kept = "remote kept";
        public const string Uring = "remote io_uring";
        public const string Cached = "cached";
        public const string LocalLocks = "cached local locks";
        public const string Tls = "tls";
        public const string Sshfs = "sshfs";
        public const string SshfsDefault = "sshfs default";
        public const string SshfsSsh = "sshfs ssh";
    }
}
