using System.Globalization;
using Dpu.Benchmarks.Harness;
using Dpu.TestSupport;

namespace Dpu.Benchmarks.Targets;

/// <summary>A directory as some file system shows it, with the host directory that is behind it.</summary>
internal abstract class FileTarget(string name, string store) : IContender
{
    // Mounting includes a handshake at most; a loaded machine gets time.
    private protected static readonly TimeSpan StartLimit = TimeSpan.FromSeconds(30);

    private int runs;

    public string Name { get; } = name;

    /// <summary>This target's own folder; everything of it lies below.</summary>
    public string Folder { get; } = Path.Combine(store, name.Replace(' ', '-'));

    /// <summary>The host's directory, where works prepare files without going through what is measured.</summary>
    public string Backing => Path.Combine(Folder, "backing");

    /// <summary>The directory as this target shows it.</summary>
    public virtual string Seen => Path.Combine(Folder, "seen");

    /// <summary>What a request of such sizes costs on a link beside the mount, in µs; 0 where there is none.</summary>
    public virtual double LinkMicroseconds(int requestSize, int replySize) => 0;

    public void Start()
    {
        Directory.CreateDirectory(Backing);
        Directory.CreateDirectory(Seen);
        StartCore();
    }

    public abstract void Abort();

    public abstract void Dispose();

    /// <summary>Makes a directory that no run has seen: its names are in no cache. Returns its name.</summary>
    public string FreshDirectory()
    {
        string name = "run" + Interlocked.Increment(ref runs).ToString(CultureInfo.InvariantCulture);
        Directory.CreateDirectory(Path.Combine(Backing, name));
        return name;
    }

    private protected abstract void StartCore();

    /// <summary>Returns once <see cref="Seen"/> is a mount; fails with the program's output where that ends first.</summary>
    private protected void AwaitMount(RunningProgram program)
    {
        bool mounted = Eventually.Within(() => MountTable.Targets().Contains(Seen) || program.HasExited, StartLimit);
        if (!MountTable.Targets().Contains(Seen))
        {
            throw new ProgramException(
                $"'{program.CommandLine}' {(mounted ? "ended without a mount" : $"made no mount in {StartLimit.TotalSeconds:0} s")}: {program.Error.Trim()} {program.Output.Trim()}");
        }
    }

    /// <summary>Takes the mount away, however its server is.</summary>
    private protected void Unmount()
    {
        if (MountTable.Targets().Contains(Seen))
        {
            ExternalProgram.Run("umount", ["-l", Seen], TimeSpan.FromSeconds(10));
        }
    }
}
