using System.Globalization;
using Dpu.Keeper;
using Dpu.Linux;
using Microsoft.Win32.SafeHandles;

namespace Dpu.Relay.Processes;

/// <summary>The streams of a process at one end, before a <see cref="ProcessChannel"/> has them: new ones, or those of an earlier life of the daemon.</summary>
/// <param name="memory">The process's.</param>
public sealed unsafe class ProcessStreams(ProcessMemory memory) : IDisposable
{
    // What has come waits for who reads it while the next frames come.
    internal const int PipeSize = 4 * ProcessFrame.MaxData;

    // What a user has stopped is still shown, so that it is no more than what takes no time.
    private const int TerminalPipeSize = 64 << 10;

    /// <summary>The most that a process can have.</summary>
    public const int Most = ProcessFrame.MaxStreams;

    private List<ProcessStream> _streams = [];

    /// <summary>How many there are.</summary>
    public int Count => _streams.Count;

    /// <summary>Adds one; false where there are <see cref="Most"/> already, or no descriptors are left: then the local end is the caller's still.</summary>
    /// <param name="number">The descriptor's number in the process.</param>
    /// <param name="local">The local end: read, or written.</param>
    /// <param name="sends">Whether bytes go from here to the other end.</param>
    public bool TryAdd(int number, SafeFileHandle local, bool sends) => TryAdd(number, local, sends, isTerminal: false);

    /// <summary>Adds both directions of a terminal; behind all others. False as <see cref="TryAdd(int, SafeFileHandle, bool)"/> has it.</summary>
    /// <param name="terminal">It, which does not wait; the caller's still.</param>
    /// <param name="isProcesss">Whether it is the process's, at the host; else it is the stub's.</param>
    public bool TryAddTerminal(SafeFileHandle terminal, bool isProcesss)
    {
        ArgumentNullException.ThrowIfNull(terminal);

        // The process's input first, as the link has it.
        return TryAddCopy(terminal, 0, sends: !isProcesss) && TryAddCopy(terminal, 1, sends: isProcesss);
    }

    /// <summary>Has the stub's terminal read only when that may be.</summary>
    public void Gate(Func<bool> mayFetch)
    {
        foreach (ProcessStream stream in _streams.Where(stream => stream is { IsTerminal: true, Sends: true }))
        {
            stream.MayFetch = mayFetch;
        }
    }

    // epoll(7) knows a descriptor once.
    private bool TryAddCopy(SafeFileHandle terminal, int number, bool sends)
    {
        int copy = LibC.fcntl_int((int)terminal.DangerousGetHandle(), fcntl.F_DUPFD_CLOEXEC, 0);
        if (copy < 0)
        {
            return false;
        }

        var local = new SafeFileHandle(copy, ownsHandle: true);
        bool added = TryAdd(number, local, sends, isTerminal: true);
        if (!added)
        {
            local.Dispose();
        }

        return added;
    }

    /// <summary>
    /// Adds the counterpart of a stream whose own is lost, as by a reboot: what comes through it goes to nobody, and nothing goes into it, not even an end, so
    /// that the process goes on. False where no descriptors are left.
    /// </summary>
    /// <param name="far">How it stands at the other end.</param>
    public bool TryAddLost(HeldStream far)
    {
        bool sends = (far.State & HeldStreamState.Sends) == 0;
        ProcessStreamState state = ((far.State & HeldStreamState.Over) != 0 ? ProcessStreamState.Over : 0) | (sends && (far.State & HeldStreamState.AtEnd) != 0 ? ProcessStreamState.AtEnd : 0);

        // One that can be written to as well never ends.
        SafeFileHandle? local = state != 0 ? null : sends ? JournaledPipe.TryMake(4096) : File.OpenHandle("/dev/null", FileMode.Open, FileAccess.Write, FileShare.ReadWrite);
        bool added = (local is not null || state != 0) && TryAdd(far.Number, local, sends, (far.State & HeldStreamState.Terminal) != 0, far.Position, state);
        if (!added)
        {
            local?.Dispose();
        }

        return added;
    }

    private bool TryAdd(int number, SafeFileHandle? local, bool sends, bool isTerminal, ulong position = 0, ProcessStreamState state = ProcessStreamState.None)
    {
        int index = _streams.Count;
        if (index == ProcessFrame.MaxStreams || JournaledPipe.TryMake(isTerminal ? TerminalPipeSize : PipeSize) is not { } pipe)
        {
            return false;
        }

        // SAFETY: the memory's fields for this stream.
        *memory.JournalOf(index) = position;
        *memory.NumberOf(index) = number;
        *memory.StateOf(index) = (uint)(ProcessStreamState.Used | (sends ? ProcessStreamState.Sends : 0) | (isTerminal ? ProcessStreamState.Terminal : 0) | state);
        if (local is not null)
        {
            memory.Hold(Local(index), local);
        }

        memory.Hold(Pipe(index), pipe);
        Keep(new ProcessStream(index, number, local, new JournaledPipe(pipe, memory.JournalOf(index)), memory.StateOf(index)));
        return true;
    }

    /// <summary>Those that an earlier life has left.</summary>
    /// <returns>Numbers of those that may have given some bytes twice; null where some are lost.</returns>
    public IReadOnlyList<int>? Restore()
    {
        List<int> unsure = [];
        for (int i = 0; i < ProcessFrame.MaxStreams && ((ProcessStreamState)(*memory.StateOf(i)) & ProcessStreamState.Used) != 0; i++)
        {
            using Kept? pipe = memory.Get(Pipe(i));
            if (pipe?.Descriptor is null)
            {
                return null;
            }

            using Kept? local = memory.Get(Local(i));
            var stream = new ProcessStream(i, *memory.NumberOf(i), Own(local), new JournaledPipe(Own(pipe)!, memory.JournalOf(i)), memory.StateOf(i));
            if (stream.WasUnsure)
            {
                unsure.Add(stream.Number);
            }

            // Known to this life as well, so that another keeper gets them.
            memory.Hold(Pipe(i), stream.Pipe.Handle);
            if (stream.Local is { } open)
            {
                memory.Hold(Local(i), open);
            }

            Keep(stream);
        }

        return unsure;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (ProcessStream stream in Take())
        {
            stream.Dispose();
        }
    }

    internal List<ProcessStream> Take()
    {
        List<ProcessStream> taken = _streams;
        _streams = [];
        return taken;
    }

    private static string Local(int index) => string.Create(CultureInfo.InvariantCulture, $"local{index}");

    private static string Pipe(int index) => string.Create(CultureInfo.InvariantCulture, $"pipe{index}");

    private static SafeFileHandle? Own(Kept? kept) =>
        kept?.Descriptor is { } descriptor ? new SafeFileHandle(Descriptors.Descriptor.Release(descriptor), ownsHandle: true) : null;

    private void Keep(ProcessStream stream)
    {
        stream.Closed = closed => memory.Drop(Local(closed.Index));
        _streams.Add(stream);
    }
}
