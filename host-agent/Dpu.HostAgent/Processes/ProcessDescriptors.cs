using System.Runtime.InteropServices;
using Dpu.HostAgent.Sockets;
using Dpu.Linux;
using Dpu.Relay.Descriptors;
using Dpu.Relay.Processes;
using Microsoft.Win32.SafeHandles;

namespace Dpu.HostAgent.Processes;

/// <summary>The descriptors of a process that is to begin, made here of what its stub had. Used by one thread.</summary>
internal sealed class ProcessDescriptors : IDisposable
{
    // A program that reads its input, or writes, expects these to be something.
    private const int Standard = 3;

    // Bytes: two frames, one that is being read and one that is being written.
    private const int OutputPipeSize = 256 << 10;
    private static readonly TimeSpan MakeLimit = TimeSpan.FromSeconds(60);

    private readonly List<(int Number, SafeHandle What)> _all = [];
    private readonly List<SafeHandle> _own = [];
    private SafeFileHandle? _controlling;
    private SafeFileHandle? _jobs;

    /// <summary>Numbers, and what they are.</summary>
    public IReadOnlyList<(int Number, SafeHandle What)> All => _all;

    /// <summary>The process's terminal, which is the caller's; null where it has none.</summary>
    public HostTerminal? Terminal { get; private set; }

    /// <summary>Makes them.</summary>
    /// <param name="asked">What the stub had.</param>
    /// <param name="spec">Gets what is beside the program's own.</param>
    /// <param name="streams">Get the streams' local ends.</param>
    /// <param name="passing">Makes what programs pass; null where there is no mount by which that could be.</param>
    /// <param name="missed">Numbers that the process does not get.</param>
    /// <returns>Why the process cannot begin; null where it can.</returns>
    public string? Make(ProcessSpec asked, ProcessSpec spec, ProcessStreams streams, HostPassing? passing, out IReadOnlyList<int> missed)
    {
        List<int> without = [];
        missed = without;
        int[] made = MakePassed(asked, passing);
        foreach (IGrouping<int, ProcessDescriptor> stream in asked.Descriptors.Where(one => one.Way is ProcessDescriptorWay.ToHost or ProcessDescriptorWay.ToDpu).GroupBy(one => one.Index).OrderBy(group => group.Key))
        {
            bool toDpu = stream.First().Way == ProcessDescriptorWay.ToDpu;
            if (stream.Key != streams.Count || !Descriptor.TryMakePair(
                new PassedDescriptor(toDpu ? DescriptorKind.PipeToWrite : DescriptorKind.PipeToRead, DescriptorFlags.None), out SafeFileHandle? programs, out SafeFileHandle? ours))
            {
                return "its streams are not numbered one by one, or no descriptors are left";
            }

            if (toDpu)
            {
                // Each time that a pipe is full, or is empty again, somebody waits for a processor. Where it cannot be larger it is as it is.
                _ = LibC.fcntl_int((int)ours!.DangerousGetHandle(), fcntl.F_SETPIPE_SZ, OutputPipeSize);
            }

            _own.Add(programs!);
            _all.AddRange(stream.Select(one => (one.Number, (SafeHandle)programs!)));
            if (!streams.TryAdd(stream.First().Number, ours!, sends: toDpu))
            {
                ours!.Dispose();
                return $"it has more than {ProcessStreams.Most} pipes, or no descriptors are left";
            }
        }

        if (asked.Terminal is not null && MakeTerminal(asked.Terminal, asked, spec, streams, without) is { } problem)
        {
            return problem;
        }

        foreach (ProcessDescriptor one in asked.Descriptors.Where(one => one.Way == ProcessDescriptorWay.Passed))
        {
            if (one.Index < made.Length && _own.Find(handle => (int)handle.DangerousGetHandle() == made[one.Index]) is { } handle)
            {
                _all.Add((one.Number, handle));
            }
            else
            {
                without.Add(one.Number);
            }
        }

        // What is not there would be the next file that it opens.
        for (int number = 0; number < Standard; number++)
        {
            if (!_all.Exists(one => one.Number == number) && Descriptor.TryOpen("/dev/null", fcntl.O_RDWR, out _) is { } nothing)
            {
                _own.Add(nothing);
                _all.Add((number, nothing));
            }
        }

        if (_jobs is not null)
        {
            // dpu-launch keeps neither for the program.
            spec.Controlling = (Add(_controlling!), Add(_jobs));
        }

        return null;
    }

    /// <summary>Adds one beyond those of the program; its number.</summary>
    public int Add(SafeFileHandle handle)
    {
        _own.Add(handle);
        int number = _all.Select(one => one.Number).DefaultIfEmpty(-1).Max() + 1;
        _all.Add((number, handle));
        return number;
    }

    /// <inheritdoc/>
    public void Dispose() => _own.ForEach(handle => handle.Dispose());

    private string? MakeTerminal(ProcessTerminal terminal, ProcessSpec asked, ProcessSpec spec, ProcessStreams streams, List<int> without)
    {
        List<SafeFileHandle> slaves = [];
        Terminal = HostTerminal.TryMake(terminal, spec.Identity?.Uid ?? 0, streams, slaves, out _jobs, out string problem);
        _own.AddRange(slaves);
        if (Terminal is null)
        {
            _jobs?.Dispose();
            return problem;
        }

        // The last one is for nobody but dpu-launch.
        _controlling = slaves[^1];
        foreach (ProcessDescriptor one in asked.Descriptors.Where(one => one.Way == ProcessDescriptorWay.Terminal))
        {
            if (one.Index < slaves.Count - 1)
            {
                _all.Add((one.Number, slaves[one.Index]));
            }
            else
            {
                without.Add(one.Number);
            }
        }

        return null;
    }

    private int[] MakePassed(ProcessSpec asked, HostPassing? passing)
    {
        if (asked.Passed.Length == 0)
        {
            return [];
        }

        int[]? made = null;
        if (passing is null)
        {
            // Devices that are the same everywhere need no mount.
            made = DescriptorPassing.MakeHarmless(asked.Passed);
        }
        else
        {
            using var done = new ManualResetEventSlim();
            passing.Make(asked.Passed, descriptors =>
            {
                made = descriptors;
                done.Set();
            });
            _ = done.Wait(MakeLimit);
        }

        Array.ForEach(made ?? [], descriptor => _own.Add(new SafeFileHandle(descriptor, ownsHandle: true)));
        return made ?? [];
    }
}
