using Dpu.Linux;
using Dpu.Relay.Descriptors;
using Dpu.Relay.Processes;
using Dpu.Runtime.Sockets;
using Microsoft.Win32.SafeHandles;

namespace Dpu.Runtime.Processes;

/// <summary>Says of each descriptor that a stub was given how the host's process gets it, or that it stays with the stub.</summary>
/// <param name="files">The files of mounts.</param>
/// <param name="passing">Carries what programs pass.</param>
/// <param name="host">The host.</param>
/// <param name="logger">The log.</param>
internal sealed class StubDescriptors(MountedFiles files, RuntimePassing passing, string host, ILogger logger)
{
    private const int StandardInput = 0;
    private const int StandardOutput = 1;
    private const int LastStandard = 2;
    private static readonly TimeSpan DescribeLimit = TimeSpan.FromSeconds(60);

    private readonly List<ProcessDescriptor> _crossing = [];
    private readonly List<int> _staying = [];
    private readonly List<int> _passed = [];
    private readonly List<int> _terminalFlags = [];
    private StubTerminal? _terminal;

    /// <summary>Numbers that stay with the stub.</summary>
    public IReadOnlyList<int> Staying => _staying;

    /// <summary>Decides, and puts what crosses into the specification.</summary>
    /// <param name="given">What the stub has; it is used up.</param>
    /// <param name="spec">Gets what crosses.</param>
    /// <param name="streams">Get the local ends.</param>
    /// <returns>The stub's terminal, which is the caller's; null where the process is to have none.</returns>
    public StubTerminal? Decide(List<(int Number, SafeFileHandle What)> given, ProcessSpec spec, ProcessStreams streams)
    {
        TakeTerminal(given, spec);
        foreach ((int[] numbers, SafeFileHandle what) in GroupsOf(given))
        {
            Decide(numbers, what, streams);
        }

        if (_terminal is not null && streams.TryAddTerminal(_terminal.Handle, isProcesss: false))
        {
            spec.Terminal = new ProcessTerminal(_terminal.Twin(!_crossing.Exists(one => one is { Number: StandardOutput, Way: ProcessDescriptorWay.Terminal })), spec.OwnTerminal is { IsForeground: true }, _terminalFlags);
        }
        else if (_terminal is not null)
        {
            _terminal.Dispose();
            throw new IOException($"a terminal and more than {ProcessStreams.Most - 2} pipes are too much for one process, or no descriptors are left");
        }

        spec.OwnTerminal = null;

        given.ForEach(one => one.What.Dispose());
        given.Clear();
        foreach (ProcessDescriptor one in _crossing)
        {
            spec.Descriptors.Add(one);
        }

        if (_passed.Count > 0)
        {
            using var done = new ManualResetEventSlim();
            byte[] content = [];
            passing.Describe([.. _passed], all =>
            {
                content = all;
                done.Set();
            });
            if (done.Wait(DescribeLimit))
            {
                spec.Passed = content;
            }
        }

        return _terminal;
    }

    // Where it is none of the program's descriptors it comes beside them, and its number may be one that the program does not have.
    private void TakeTerminal(List<(int Number, SafeFileHandle What)> given, ProcessSpec spec)
    {
        if (spec.OwnTerminal is not { } own)
        {
            return;
        }

        int at = given.FindIndex(one => one.Number == own.Number);
        _terminal = at < 0 ? null : StubTerminal.TryOpen(given[at].What);
        if (_terminal is null)
        {
            throw new IOException($"the stub's terminal, descriptor {own.Number}, cannot be opened");
        }

        if (own.IsBeside)
        {
            given[at].What.Dispose();
            given.RemoveAt(at);
        }
    }

    private static List<(int[] Numbers, SafeFileHandle What)> GroupsOf(List<(int Number, SafeFileHandle What)> given)
    {
        List<(List<int> Numbers, SafeFileHandle What)> groups = [];
        foreach ((int number, SafeFileHandle what) in given.OrderBy(one => one.Number))
        {
            // Programs count on it that 1 and 2 keep their order where they are one file.
            int known = groups.FindIndex(group => LibC.CompareFiles((int)group.What.DangerousGetHandle(), (int)what.DangerousGetHandle()) == 0);
            if (known >= 0)
            {
                groups[known].Numbers.Add(number);
            }
            else
            {
                groups.Add(([number], what));
            }
        }

        return [.. groups.Select(group => (group.Numbers.ToArray(), group.What))];
    }

    private void Decide(int[] numbers, SafeFileHandle what, ProcessStreams streams)
    {
        int descriptor = (int)what.DangerousGetHandle();
        if (_terminal?.Is(descriptor) == true)
        {
            int flags = LibC.fcntl_int(descriptor, fcntl.F_GETFL, 0) & (fcntl.O_ACCMODE | fcntl.O_NONBLOCK | fcntl.O_APPEND);
            _crossing.AddRange(numbers.Select(number => new ProcessDescriptor(number, ProcessDescriptorWay.Terminal, _terminalFlags.Count)));
            _terminalFlags.Add(flags);
            return;
        }

        PassedDescriptor is_ = DescriptorClassifier.Classify(descriptor, out string reason);
        switch (is_.Kind)
        {
            case DescriptorKind.PipeToRead:
                Stream(numbers, what, streams, toHost: true, again: true);
                return;
            case DescriptorKind.PipeToWrite:
                Stream(numbers, what, streams, toHost: false, again: true);
                return;
            case DescriptorKind.File when !files.TryRefer(host, descriptor, ref is_):
                Standard(numbers, what, streams, again: false, "it is no file of a mount of the host");
                return;
            case DescriptorKind.Refused:
                Standard(numbers, what, streams, again: true, reason);
                return;
            default:
                Pass(numbers, descriptor);
                return;
        }
    }

    // Of 0, 1 and 2 the bytes cross, whatever they are; others are of no use but as they are.
    private void Standard(int[] numbers, SafeFileHandle what, ProcessStreams streams, bool again, string reason)
    {
        int access = LibC.fcntl_int((int)what.DangerousGetHandle(), fcntl.F_GETFL, 0) & fcntl.O_ACCMODE;
        int[] input = [.. numbers.Where(number => number == StandardInput && access != fcntl.O_WRONLY)];
        int[] output = [.. numbers.Where(number => number is > StandardInput and <= LastStandard && access != fcntl.O_RDONLY)];
        if (input.Length > 0)
        {
            Stream(input, what, streams, toHost: true, again);
        }

        if (output.Length > 0)
        {
            Stream(output, what, streams, toHost: false, again);
        }

        foreach (int number in numbers.Except(input).Except(output))
        {
            Log.DescriptorStays(logger, number, DescriptorClassifier.LinkOf((int)what.DangerousGetHandle()), host, reason);
            _staying.Add(number);
        }
    }

    private void Stream(int[] numbers, SafeFileHandle what, ProcessStreams streams, bool toHost, bool again)
    {
        // Whether it waits belongs to the open file, which its parent has too: a pipe or a terminal is opened anew. A file has one offset for all.
        SafeFileHandle? local = again ? Descriptor.TryOpenAgain(what, (toHost ? fcntl.O_RDONLY : fcntl.O_WRONLY) | fcntl.O_NONBLOCK, out _) : null;
        if (local is null)
        {
            int copy = LibC.fcntl_int((int)what.DangerousGetHandle(), fcntl.F_DUPFD_CLOEXEC, 0);
            local = copy < 0 ? null : new SafeFileHandle(copy, ownsHandle: true);
        }

        int index = streams.Count;
        if (local is null || !streams.TryAdd(numbers[0], local, sends: toHost))
        {
            local?.Dispose();
            _staying.AddRange(numbers);
            Log.DescriptorStays(logger, numbers[0], DescriptorClassifier.LinkOf((int)what.DangerousGetHandle()), host, $"{ProcessStreams.Most} pipes are the most, or no descriptors are left");
            return;
        }

        foreach (int number in numbers)
        {
            _crossing.Add(new ProcessDescriptor(number, toHost ? ProcessDescriptorWay.ToHost : ProcessDescriptorWay.ToDpu, index));
        }
    }

    private void Pass(int[] numbers, int descriptor)
    {
        int copy = LibC.fcntl_int(descriptor, fcntl.F_DUPFD_CLOEXEC, 0);
        if (copy < 0)
        {
            _staying.AddRange(numbers);
            return;
        }

        foreach (int number in numbers)
        {
            _crossing.Add(new ProcessDescriptor(number, ProcessDescriptorWay.Passed, _passed.Count));
        }

        _passed.Add(copy);
    }
}
