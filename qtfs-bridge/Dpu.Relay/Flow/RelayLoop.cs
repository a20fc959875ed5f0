using System.Collections.Concurrent;
using System.Diagnostics;
using System.Runtime.InteropServices;
using Dpu.Linux;
using Dpu.Relay.Wire;
using Microsoft.Win32.SafeHandles;

namespace Dpu.Relay.Flow;

/// <summary>
/// A thread that moves the bytes of many relays: it waits with epoll(7), edge-triggered, so that a relay costs a system call only when
/// something has come or gone. What is not moving costs no memory here.
/// </summary>
internal sealed unsafe class RelayLoop : IDisposable
{
    /// <summary>Room for a frame with the longest message, and as much again to read on.</summary>
    public const int ScratchSize = RelayFrame.HeaderSize + RelayFrame.MaxContentSize + (64 << 10);

    /// <summary>Descriptors of one source.</summary>
    public const int MaxSides = 32;

    private const int SideBits = 5;
    private const int MaxEvents = 256;
    private const ulong WakeUp = ulong.MaxValue;

    // Milliseconds until a relay that is quiet says what has come.
    private const int TickInterval = 200;
    private static readonly TimeSpan EndLimit = TimeSpan.FromSeconds(5);

    [ThreadStatic]
    private static RelayLoop? t_current;

    private readonly SafeFileHandle _epoll;
    private readonly SafeFileHandle _wake;
    private readonly ConcurrentQueue<Action> _commands = new();
    private readonly List<(ILoopSource? Source, uint Generation)> _sources = [];
    private readonly Stack<int> _free = new();
    private readonly Action<Exception> _onBug;
    private readonly LoopPolling _polling;
    private readonly Thread _thread;
    private PollWindow _window;
    private bool _expects;
    private List<(ILoopSource Source, uint Slot)> _busy = [];
    private List<(ILoopSource Source, uint Slot)> _next = [];
    private List<(ILoopSource Source, uint Slot)> _waiting = [];
    private List<(ILoopSource Source, uint Slot)> _due = [];
    private long _waitingSince;
    private int _count;
    private volatile bool _stopping;

    /// <param name="name">The thread's name.</param>
    /// <param name="onBug">Told of what should not happen; the source at fault is ended.</param>
    /// <param name="polling">How long it may look for what is expected before it sleeps; null for not at all.</param>
    public RelayLoop(string name, Action<Exception> onBug, LoopPolling? polling = null)
    {
        _onBug = onBug;
        _polling = polling ?? new LoopPolling();
        _epoll = Opened(LibC.Result(LibC.epoll_create1(epoll.EPOLL_CLOEXEC)), "epoll_create1");
        _wake = Opened(LibC.Result(LibC.eventfd(0, eventfd_h.EFD_CLOEXEC | eventfd_h.EFD_NONBLOCK)), "eventfd");
        _ = LibC.EpollControl((int)_epoll.DangerousGetHandle(), epoll.EPOLL_CTL_ADD, (int)_wake.DangerousGetHandle(), epoll.EPOLLIN, WakeUp);
        _thread = new Thread(Run) { IsBackground = true, Name = name };
        _thread.Start();
    }

    /// <summary>How many sources it has; of one moment, from any thread.</summary>
    public int Count => Volatile.Read(ref _count);

    /// <summary>That whose thread calls; null on others.</summary>
    public static RelayLoop? Current => t_current;

    /// <summary>Adds a source; it enters on the loop's thread. One that comes after the end is left at once.</summary>
    public void Add(ILoopSource source) => Post(() =>
    {
        if (_stopping)
        {
            source.Leave();
            return;
        }

        Volatile.Write(ref _count, _count + 1);
        if (!_free.TryPop(out int slot))
        {
            slot = _sources.Count;
            _sources.Add((null, 0));
        }

        _sources[slot] = (source, _sources[slot].Generation);
        source.Enter(this, (uint)slot);
        _busy.Add((source, (uint)slot));
    });

    /// <summary>Has something done on the loop's thread.</summary>
    public void Post(Action command)
    {
        _commands.Enqueue(command);
        if (Thread.CurrentThread == _thread)
        {
            // It looks before it waits.
            return;
        }

        ulong one = 1;

        // SAFETY: eight bytes on the stack. The descriptor lives as long as the object; after the end nobody reads it.
        _ = LibC.write((int)_wake.DangerousGetHandle(), &one, sizeof(ulong));
        if (_stopping && !_thread.IsAlive)
        {
            RunCommands();
        }
    }

    /// <summary>Waits for a descriptor of a source; 0 or a negated errno. Closing the descriptor ends that.</summary>
    public int Watch(int descriptor, uint events, uint slot, uint side) => LibC.EpollControl(
        (int)_epoll.DangerousGetHandle(), epoll.EPOLL_CTL_ADD, descriptor, events, ((ulong)_sources[(int)slot].Generation << 32) | (slot << SideBits) | side);

    /// <summary>Waits for other events of a descriptor from now on; what is there already is told again.</summary>
    public void Change(int descriptor, uint events, uint slot, uint side) => _ = LibC.EpollControl(
        (int)_epoll.DangerousGetHandle(), epoll.EPOLL_CTL_MOD, descriptor, events, ((ulong)_sources[(int)slot].Generation << 32) | (slot << SideBits) | side);

    /// <summary>Waits for a descriptor no more. Closing it does that only where it is the last one of its open file, and others may have some.</summary>
    public void Unwatch(int descriptor) => _ = LibC.EpollControl((int)_epoll.DangerousGetHandle(), epoll.EPOLL_CTL_DEL, descriptor, 0, 0);

    /// <summary>Takes a source out, on the loop's thread, and ends it.</summary>
    public void Remove(ILoopSource source, uint slot)
    {
        if (_sources[(int)slot].Source != source)
        {
            return;
        }

        // Events that were fetched already are of an older generation.
        _sources[(int)slot] = (null, _sources[(int)slot].Generation + 1);
        _free.Push((int)slot);
        Volatile.Write(ref _count, _count - 1);
        source.Leave();
    }

    /// <summary>Has a source do what it can, on the loop's thread.</summary>
    public void Schedule(ILoopSource source, uint slot) => _busy.Add((source, slot));

    /// <summary>Something is to come soon, as the next message of a conversation: on the loop's thread, for the next wait alone.</summary>
    public void Expect() => _expects = true;

    /// <summary>Has <see cref="ILoopSource.Tick"/> called once after a while, on the loop's thread.</summary>
    public void TickLater(ILoopSource source, uint slot)
    {
        if (_waiting.Count == 0)
        {
            _waitingSince = Environment.TickCount64;
        }

        _waiting.Add((source, slot));
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (_stopping)
        {
            return;
        }

        Post(() => _stopping = true);
        _ = _thread.Join(EndLimit);
        _epoll.Dispose();
    }

    private static SafeFileHandle Opened(int descriptor, string call) =>
        descriptor >= 0 ? new SafeFileHandle(descriptor, ownsHandle: true) : throw new IOException($"{call} failed with errno {-descriptor}: the machine or the service has no more descriptors");

    private void Run()
    {
        // SAFETY: events of 16 bytes at most, and the scratch; freed by this thread, which alone uses them.
        byte* events = (byte*)NativeMemory.Alloc(MaxEvents * 16);
        byte* scratch = (byte*)NativeMemory.AlignedAlloc(ScratchSize, 4096);
        t_current = this;
        try
        {
            while (!_stopping)
            {
                int count = Wait(events);
                for (int i = 0; i < count; i++)
                {
                    Take(LibC.EpollEvent(events, i, out ulong data), data);
                }

                RunCommands();
                Tick();
                Work(scratch);
            }
        }
        finally
        {
            NativeMemory.Free(events);
            NativeMemory.AlignedFree(scratch);
            End();
        }
    }

    private int Wait(byte* events)
    {
        int limit = _busy.Count > 0 || !_commands.IsEmpty ? 0 : _waiting.Count > 0 ? TickInterval : -1;
        if (limit == 0 || !_expects)
        {
            return Look(events, limit);
        }

        _expects = false;
        long most = _polling.Most;
        return most > 0 ? WaitAwake(events, limit, most) : Look(events, limit);
    }

    // Between looks others have the processor, such as the program that is to answer.
    private int WaitAwake(byte* events, int limit, long most)
    {
        long began = Stopwatch.GetTimestamp();
        long window = _window.LengthAt(began, most);
        int count = 0;
        for (long before = began, now; count == 0 && before - began < window; before = now)
        {
            count = Look(events, 0);
            if (count != 0)
            {
                break;
            }

            _ = Thread.Yield();
            now = Stopwatch.GetTimestamp();
            if (now - before > most)
            {
                _window.Crowded(now, most);
                break;
            }
        }

        if (window > 0)
        {
            _polling.Spent(Stopwatch.GetTimestamp() - began);
        }

        count = count == 0 ? Look(events, limit) : count;
        _window.Came(Stopwatch.GetTimestamp() - began, most);
        return count;
    }

    private int Look(byte* events, int limit) => LibC.EpollWait((int)_epoll.DangerousGetHandle(), events, MaxEvents, limit);

    private void Take(uint events, ulong data)
    {
        if (data == WakeUp)
        {
            ulong count;
            _ = LibC.read((int)_wake.DangerousGetHandle(), &count, sizeof(ulong));
            return;
        }

        uint slot = (uint)data >> SideBits;
        (ILoopSource? source, uint generation) = _sources[(int)slot];
        if (source is not null && generation == (uint)(data >> 32))
        {
            source.Ready(events, (uint)data & (MaxSides - 1));
            _busy.Add((source, slot));
        }
    }

    private void Tick()
    {
        if (_waiting.Count == 0 || Environment.TickCount64 - _waitingSince < TickInterval)
        {
            return;
        }

        (_waiting, _due) = (_due, _waiting);
        foreach ((ILoopSource source, uint slot) in _due)
        {
            if (_sources[(int)slot].Source == source)
            {
                source.Tick();
                _busy.Add((source, slot));
            }
        }

        _due.Clear();
    }

    private void Work(byte* scratch)
    {
        (_busy, _next) = (_next, _busy);
        foreach ((ILoopSource source, uint slot) in _next)
        {
            // It may have ended, or be here twice.
            if (_sources[(int)slot].Source != source)
            {
                continue;
            }

            try
            {
                if (source.Work(scratch))
                {
                    _busy.Add((source, slot));
                }
            }
            catch (Exception e)
            {
                // A bug, or no memory: one relay ends, the others go on.
                _onBug(e);
                Remove(source, slot);
            }
        }

        _next.Clear();
    }

    private void RunCommands()
    {
        while (_commands.TryDequeue(out Action? command))
        {
            try
            {
                command();
            }
            catch (Exception e)
            {
                _onBug(e);
            }
        }
    }

    private void End()
    {
        for (int slot = 0; slot < _sources.Count; slot++)
        {
            if (_sources[slot].Source is { } source)
            {
                Remove(source, (uint)slot);
            }
        }

        RunCommands();
    }
}
