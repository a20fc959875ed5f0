using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using Dpu.Benchmarks.Harness;
using Dpu.Benchmarks.Targets;
using Dpu.Linux;
using static Dpu.Linux.LibC;

namespace Dpu.Benchmarks.Files;

/// <summary>
/// The file works: raw system calls in a loop without managed allocation. Each run works in a directory that no run has
/// seen, prepared on the host's side, so that no cache of an earlier run helps.
/// </summary>
internal static unsafe class FileWorks
{
    internal const int Small = 4096;
    internal const int Large = 1 << 20;
    internal const int FileSize = 16 << 20;

    // Count-based works touch each name once; some hundred suffice for a stable mean.
    internal const int Names = 300;

    // Long against a request, short enough that all targets see the same weather.
    internal static readonly TimeSpan Duration = TimeSpan.FromMilliseconds(200);

    public static IReadOnlyList<Work<FileTarget>> All { get; } =
    [
        new("getattr", "us", Better.Lower, target => PerSecond(target, 0, GetAttr).Microseconds),
        new("read 4K QD1", "us", Better.Lower, target => PerSecond(target, Small, Read).Microseconds),
        new("write 4K QD1", "us", Better.Lower, target => PerSecond(target, Small, Write).Microseconds),
        new("seq read 1M", "MB/s", Better.Higher, target => PerSecond(target, Large, Read).Megabytes),
        new("seq write 1M", "MB/s", Better.Higher, target => PerSecond(target, Large, Write).Megabytes),
        new("create+1K+close", "us", Better.Lower, target => EachName(target, prepared: false, Create)),
        new("stat cold", "us", Better.Lower, target => EachName(target, prepared: true, Stat)),
        new("open+read+close", "us", Better.Lower, target => EachName(target, prepared: true, OpenReadClose)),
        new("unlink", "us", Better.Lower, target => EachName(target, prepared: true, Unlink)),
        new("readdir+stat", "us/file", Better.Lower, ReadDirectory),
    ];

    internal delegate void OnHandle(int file, byte* buffer, int size, long offset);

    internal delegate void OnName(int directory, byte* name, byte* buffer);

    internal readonly record struct Rate(long Operations, TimeSpan Elapsed, int Size)
    {
        public double Microseconds => Elapsed.TotalMicroseconds / Operations;

        public double Megabytes => Operations * (double)Size / 1e6 / Elapsed.TotalSeconds;
    }

    // Repeats one call on an open file for the duration, walking through it; O_DIRECT, so that each call is a request.
    internal static Rate PerSecond(FileTarget target, int size, OnHandle call)
    {
        string folder = target.FreshDirectory();
        File.WriteAllBytes(Path.Combine(target.Backing, folder, "file"), new byte[FileSize]);
        using NativePath path = new(Path.Combine(target.Seen, folder, "file"));
        // SAFETY: the buffer is Large bytes, aligned to the page as O_DIRECT wants; calls stay within size <= Large.
        byte* buffer = (byte*)NativeMemory.AlignedAlloc(Large, Small);
        new Span<byte>(buffer, Large).Fill(0x5a);
        int file = (int)Native.Check(openat(fcntl.AT_FDCWD, path.Bytes, fcntl.O_RDWR | fcntl.O_DIRECT | fcntl.O_CLOEXEC, 0), "open");
        try
        {
            int step = Math.Max(size, Small);
            call(file, buffer, size, 0);
            long operations = 0;
            long offset = 0;
            long start = Stopwatch.GetTimestamp();
            TimeSpan elapsed;
            do
            {
                call(file, buffer, size, offset);
                offset = (offset + step) % FileSize;
                operations++;
                elapsed = Stopwatch.GetElapsedTime(start);
            }
            while (elapsed < Duration);
            return new Rate(operations, elapsed, size);
        }
        finally
        {
            _ = close(file);
            NativeMemory.AlignedFree(buffer);
        }
    }

    // Does one thing to each of some hundred names, once; returns microseconds a name. What goes before is not timed.
    internal static double EachName(FileTarget target, bool prepared, OnName call, int warmUps = 0, bool listed = false)
    {
        string folder = target.FreshDirectory();
        string[] names = [.. Enumerable.Range(0, Names).Select(i => "f" + i.ToString(CultureInfo.InvariantCulture))];
        if (prepared)
        {
            Prepare(target, folder, names);
        }

        NativePath[] paths = [.. names.Select(n => new NativePath(n))];
        using NativePath directory = new(Path.Combine(target.Seen, folder));
        // SAFETY: calls read or write at most 1 KiB of the buffer, which has a page.
        byte* buffer = (byte*)NativeMemory.AlignedAlloc(Small, Small);
        new Span<byte>(buffer, Small).Fill(0x5a);
        int handle = (int)Native.Check(openat(fcntl.AT_FDCWD, directory.Bytes, fcntl.O_RDONLY | fcntl.O_DIRECTORY | fcntl.O_CLOEXEC, 0), "open directory");
        try
        {
            if (listed)
            {
                Require(List(handle, null));
            }

            long start = 0;
            for (int round = 0; round <= warmUps; round++)
            {
                start = Stopwatch.GetTimestamp();
                for (int i = 0; i < paths.Length; i++)
                {
                    call(handle, paths[i].Bytes, buffer);
                }
            }

            return Stopwatch.GetElapsedTime(start).TotalMicroseconds / paths.Length;
        }
        finally
        {
            _ = close(handle);
            NativeMemory.AlignedFree(buffer);
            Array.ForEach(paths, p => p.Dispose());
        }
    }

    // As 'ls -l': every entry of a directory, and the attributes of each.
    internal static double ReadDirectory(FileTarget target)
    {
        string folder = target.FreshDirectory();
        Prepare(target, folder, [.. Enumerable.Range(0, Names).Select(i => "f" + i.ToString(CultureInfo.InvariantCulture))]);
        using NativePath directory = new(Path.Combine(target.Seen, folder));
        long start = Stopwatch.GetTimestamp();
        int handle = (int)Native.Check(openat(fcntl.AT_FDCWD, directory.Bytes, fcntl.O_RDONLY | fcntl.O_DIRECTORY | fcntl.O_CLOEXEC, 0), "open directory");
        int files = List(handle, Stat);
        _ = close(handle);
        double elapsed = Stopwatch.GetElapsedTime(start).TotalMicroseconds;
        Require(files);
        return elapsed / files;
    }

    private static void Require(int files)
    {
        if (files != Names)
        {
            throw new IOException($"the directory showed {files} of {Names} files");
        }
    }

    // Reads an open directory, does something to each of its files, and returns their number.
    private static int List(int directory, OnName? call)
    {
        const int Room = 32 * 1024;

        // SAFETY: getdents64 fills at most Room bytes with whole records, each of d_reclen bytes, its name ended by NUL.
        byte* buffer = (byte*)NativeMemory.Alloc(Room);
        try
        {
            int files = 0;
            nint size;
            while ((size = Native.Check(getdents64(directory, buffer, Room), "getdents64")) > 0)
            {
                for (nint at = 0; at < size; at += ((dirent64*)(buffer + at))->d_reclen)
                {
                    byte* name = buffer + at + sizeof(dirent64);
                    if (*name != (byte)'.')
                    {
                        call?.Invoke(directory, name, null);
                        files++;
                    }
                }
            }

            return files;
        }
        finally
        {
            NativeMemory.Free(buffer);
        }
    }

    internal static void Prepare(FileTarget target, string folder, string[] names)
    {
        byte[] content = new byte[1024];
        foreach (string name in names)
        {
            File.WriteAllBytes(Path.Combine(target.Backing, folder, name), content);
        }
    }

    internal static void GetAttr(int file, byte* buffer, int size, long offset)
    {
        byte empty = 0;
        statx found;
        // SAFETY: the empty path is the NUL of a local; the answer is a local.
        Native.Check(LibC.statx(file, &empty, fcntl.AT_EMPTY_PATH, stat.STATX_BASIC_STATS, &found), "statx");
    }

    internal static void Read(int file, byte* buffer, int size, long offset) =>
        Native.CheckSize(pread(file, buffer, (nuint)size, offset), size, "pread");

    internal static void Write(int file, byte* buffer, int size, long offset) =>
        Native.CheckSize(pwrite(file, buffer, (nuint)size, offset), size, "pwrite");

    internal static void Create(int directory, byte* name, byte* buffer)
    {
        int file = (int)Native.Check(openat(directory, name, fcntl.O_CREAT | fcntl.O_EXCL | fcntl.O_WRONLY | fcntl.O_CLOEXEC, 0x1a4), "create");
        Native.CheckSize(write(file, buffer, 1024), 1024, "write");
        Native.Check(close(file), "close");
    }

    internal static void Stat(int directory, byte* name, byte* buffer)
    {
        statx found;
        // SAFETY: name ends with NUL; the answer is a local.
        Native.Check(LibC.statx(directory, name, fcntl.AT_SYMLINK_NOFOLLOW, stat.STATX_BASIC_STATS, &found), "statx");
    }

    internal static void OpenReadClose(int directory, byte* name, byte* buffer)
    {
        int file = (int)Native.Check(openat(directory, name, fcntl.O_RDONLY | fcntl.O_CLOEXEC, 0), "open");
        Native.CheckSize(read(file, buffer, 1024), 1024, "read");
        Native.Check(close(file), "close");
    }

    internal static void Unlink(int directory, byte* name, byte* buffer) => Native.Check(unlinkat(directory, name, 0), "unlink");
}
