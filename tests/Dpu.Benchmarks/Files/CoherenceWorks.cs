using System.Diagnostics;
using System.Globalization;
using Dpu.Benchmarks.Harness;
using Dpu.Benchmarks.Targets;
using Dpu.Linux;

namespace Dpu.Benchmarks.Files;

/// <summary>Works on what a target has seen before, and on what the host changes under it.</summary>
internal static class CoherenceWorks
{
    private const int Names = 200;
    private const int Changes = 50;
    private const int Block = 4096;
    private static readonly TimeSpan Duration = TimeSpan.FromMilliseconds(200);

    // sshfs by default believes for 20 s; it has no place in the works that wait.
    private static readonly TimeSpan SeenLimit = TimeSpan.FromSeconds(1);

    public static IReadOnlyList<Work<FileTarget>> All { get; } =
    [
        new("seen: content", "us", Better.Lower, target => Seen(target, fresh: false)),
        new("seen: new name", "us", Better.Lower, target => Seen(target, fresh: true)),
        new("again: stat", "us", Better.Lower, target => Again(target, path => _ = File.GetLastWriteTimeUtc(path))),
        new("again: stat of no file", "us", Better.Lower, target => Again(target, path => _ = File.Exists(path + "-not"))),
        new("again: open+read+close", "us", Better.Lower, target => Again(target, path => _ = File.ReadAllBytes(path))),
        new("again: list+stat", "us/file", Better.Lower, AgainList),
        new("host write 4K unknown", "us", Better.Lower, target => HostWrite(target, known: false)),
        new("host write 4K, one mark on the file system", "us", Better.Lower, target => HostWriteBeside(target, fanotify.FAN_MARK_FILESYSTEM), ["host"]),
        new("host write 4K, evictable marks on other directories", "us", Better.Lower, target => HostWriteBeside(target, fanotify.FAN_MARK_INODE | fanotify.FAN_MARK_EVICTABLE), ["host"]),
        new("host write 4K known", "us", Better.Lower, target => HostWrite(target, known: true)),
    ];

    private static double Seen(FileTarget target, bool fresh)
    {
        string folder = target.FreshDirectory();
        string seen = Path.Combine(target.Seen, folder), backing = Path.Combine(target.Backing, folder);
        List<double> waits = [];
        for (int i = 0; i < Changes; i++)
        {
            string name = fresh ? "f" + i.ToString(CultureInfo.InvariantCulture) : "f";
            if (!fresh)
            {
                File.WriteAllText(Path.Combine(backing, name), "old" + i.ToString(CultureInfo.InvariantCulture));
                Until(() => File.ReadAllText(Path.Combine(seen, name)).EndsWith("old" + i.ToString(CultureInfo.InvariantCulture), StringComparison.Ordinal));
            }
            else if (File.Exists(Path.Combine(seen, name)) || File.Exists(Path.Combine(seen, name)))
            {
                throw new IOException("a name is there before it was made");
            }

            // Open already, so that the change itself is all that is timed.
            using FileStream? written = fresh ? null : new FileStream(Path.Combine(backing, name), FileMode.Open, FileAccess.Write, FileShare.ReadWrite, bufferSize: 0);
            long start = Stopwatch.GetTimestamp();
            if (written is null)
            {
                File.WriteAllText(Path.Combine(backing, name), "new");
                Until(() => File.Exists(Path.Combine(seen, name)));
            }
            else
            {
                written.Write("new"u8);
                Until(() => File.ReadAllText(Path.Combine(seen, name)).StartsWith("new", StringComparison.Ordinal));
            }

            waits.Add(Stopwatch.GetElapsedTime(start).TotalMicroseconds);
        }

        waits.Sort();
        return waits[waits.Count / 2];
    }

    private static void Until(Func<bool> condition)
    {
        long start = Stopwatch.GetTimestamp();
        while (!condition())
        {
            if (Stopwatch.GetElapsedTime(start) > SeenLimit)
            {
                throw new IOException($"a change is unseen after {SeenLimit.TotalSeconds} s");
            }
        }
    }

    private static double Again(FileTarget target, Action<string> call)
    {
        string folder = target.FreshDirectory();
        string[] paths = [.. Enumerable.Range(0, Names).Select(i => Path.Combine(target.Seen, folder, "f" + i.ToString(CultureInfo.InvariantCulture)))];
        Fill(target, folder);
        long start = 0;

        // The third time: the second may still fetch what the first could not keep.
        for (int round = 0; round < 3; round++)
        {
            start = Stopwatch.GetTimestamp();
            Array.ForEach(paths, call);
        }

        return Stopwatch.GetElapsedTime(start).TotalMicroseconds / Names;
    }

    private static double AgainList(FileTarget target)
    {
        string folder = target.FreshDirectory();
        Fill(target, folder);
        long start = 0;
        for (int round = 0; round < 3; round++)
        {
            start = Stopwatch.GetTimestamp();
            int files = new DirectoryInfo(Path.Combine(target.Seen, folder)).EnumerateFiles().Count(file => file.Length == 1024);
            if (files != Names)
            {
                throw new IOException($"the directory showed {files} of {Names} files");
            }
        }

        return Stopwatch.GetElapsedTime(start).TotalMicroseconds / Names;
    }

    private static double HostWrite(FileTarget target, bool known)
    {
        string folder = target.FreshDirectory();
        string file = Path.Combine(target.Backing, folder, "file");
        File.WriteAllBytes(file, new byte[Block]);
        if (known)
        {
            _ = File.ReadAllBytes(Path.Combine(target.Seen, folder, "file"));
        }

        using FileStream stream = new(file, FileMode.Open, FileAccess.Write, FileShare.ReadWrite, bufferSize: 0);
        byte[] block = new byte[Block];
        long operations = 0, start = Stopwatch.GetTimestamp();
        TimeSpan elapsed;
        do
        {
            stream.Position = 0;
            stream.Write(block);
            operations++;
            elapsed = Stopwatch.GetElapsedTime(start);
        }
        while (elapsed < Duration);
        return elapsed.TotalMicroseconds / operations;
    }

    // What the writer would pay if the agent marked that way: somebody takes the events, as the agent's watcher does.
    private static double HostWriteBeside(FileTarget target, uint kind)
    {
        using var events = new ChangeEvents();
        if (kind == fanotify.FAN_MARK_FILESYSTEM)
        {
            events.Mark(kind, target.Backing);
        }

        for (int i = 0; kind != fanotify.FAN_MARK_FILESYSTEM && i < Names; i++)
        {
            events.Mark(kind, Path.Combine(target.Backing, target.FreshDirectory()));
        }

        return HostWrite(target, known: false);
    }

    private static void Fill(FileTarget target, string folder)
    {
        byte[] content = new byte[1024];
        for (int i = 0; i < Names; i++)
        {
            File.WriteAllBytes(Path.Combine(target.Backing, folder, "f" + i.ToString(CultureInfo.InvariantCulture)), content);
        }
    }
}
