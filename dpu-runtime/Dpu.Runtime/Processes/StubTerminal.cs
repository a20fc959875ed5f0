using System.Globalization;
using Dpu.Keeper;
using Dpu.Linux;
using Dpu.Relay.Descriptors;
using Dpu.Relay.Processes;
using Dpu.Relay.Terminals;
using Microsoft.Win32.SafeHandles;

namespace Dpu.Runtime.Processes;

/// <summary>The terminal of a stub: read and written here while the stub is in its foreground. Used by one thread at a time.</summary>
internal sealed unsafe class StubTerminal : IDisposable
{
    private const string KeptAs = "terminal";
    private readonly TerminalSettings _original;

    private StubTerminal(SafeFileHandle handle, TerminalSettings original) => (Handle, _original) = (handle, original);

    /// <summary>An open file of its own, which does not wait.</summary>
    public SafeFileHandle Handle { get; }

    /// <summary>What the process's is to be: as this was before its stub took it, but that what is written is processed once.</summary>
    /// <param name="isShared">Whether the process's output goes elsewhere, so that others may write here, and this terminal goes on processing that.</param>
    public TerminalSettings Twin(bool isShared) => isShared ? _original with { Modes = _original.Modes.With(output: _original.Modes.Output & ~termbits.OPOST) } : _original;

    /// <summary>Opens it once more, of its own: whether it waits belongs to the open file. Null where it is none, or cannot be opened.</summary>
    /// <param name="descriptor">The stub's.</param>
    public static StubTerminal? TryOpen(SafeFileHandle descriptor)
    {
        uint device = DeviceOf((int)descriptor.DangerousGetHandle());

        // Read and written: who may not write it is to get nobody who does.
        bool both = (LibC.fcntl_int((int)descriptor.DangerousGetHandle(), fcntl.F_GETFL, 0) & fcntl.O_ACCMODE) == fcntl.O_RDWR;
        if (device == 0 || !both || DescriptorClassifier.Classify((int)descriptor.DangerousGetHandle(), out _).Kind != DescriptorKind.Terminal
            || Descriptor.TryOpenAgain(descriptor, fcntl.O_RDWR | fcntl.O_NONBLOCK, out _) is not { } handle)
        {
            return null;
        }

        // /dev/tty would be another one here.
        if (DeviceOf((int)handle.DangerousGetHandle()) == device && TerminalSettings.Of(handle) is { } settings)
        {
            return new StubTerminal(handle, settings);
        }

        handle.Dispose();
        return null;
    }

    /// <summary>That of an earlier life of the runtime; null where there was none.</summary>
    public static StubTerminal? Find(ProcessMemory memory)
    {
        using Kept? kept = memory.Get(KeptAs);
        if (kept?.Descriptor is not { } descriptor || TerminalSettings.Read(kept.Entry.Note.Span) is not { } settings)
        {
            return null;
        }

        var found = new StubTerminal(new SafeFileHandle(Descriptor.Release(descriptor), ownsHandle: true), settings);
        found.Keep(memory);
        return found;
    }

    /// <summary>Has the keeper hold it.</summary>
    public void Keep(ProcessMemory memory) => memory.Hold(KeptAs, Handle, _original.Write());

    /// <summary>Whether a descriptor is of the same terminal, by whatever name it was opened.</summary>
    public bool Is(int descriptor) => DeviceOf(descriptor) == DeviceOf((int)Handle.DangerousGetHandle()) && !PseudoTerminal.IsMaster(descriptor);

    /// <summary>Makes it what it was, where a stub that was killed has left it raw, and nobody has taken it since.</summary>
    public void Restore()
    {
        if (TerminalModes.TryRead(Handle, out TerminalModes now) == 0 && (now == _original.Modes.Raw(isShared: false) || now == _original.Modes.Raw(isShared: true)) && now != _original.Modes)
        {
            _ = _original.Modes.Write(Handle);
        }
    }

    /// <summary>Whether a process is in the foreground of its controlling terminal, or has none, and is not stopped.</summary>
    public static bool IsInForeground(int process)
    {
        try
        {
            // proc(5): behind the name, in parentheses, state, ppid, pgrp, session, tty_nr, tpgid.
            string status = File.ReadAllText(string.Create(CultureInfo.InvariantCulture, $"/proc/{process}/stat"));
            string[] fields = status[(status.LastIndexOf(')') + 2)..].Split(' ', 7);
            return fields.Length == 7 && fields[0] is not ("T" or "t" or "Z" or "X") && (fields[4] == "0" || fields[2] == fields[5]);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentOutOfRangeException)
        {
            // Expected: it is of another namespace of processes, or ends just now, which its connection tells.
            return true;
        }
    }

    /// <inheritdoc/>
    public void Dispose() => Handle.Dispose();

    // SAFETY: an int on the stack.
    private static uint DeviceOf(int descriptor)
    {
        uint device = 0;
        return LibC.ioctl(descriptor, ioctl_tty.TIOCGDEV, &device) < 0 ? 0 : device;
    }
}
