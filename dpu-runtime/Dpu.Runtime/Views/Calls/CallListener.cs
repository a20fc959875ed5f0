using System.Globalization;
using Dpu.Keeper;
using Dpu.Linux;
using Microsoft.Win32.SafeHandles;

namespace Dpu.Runtime.Views.Calls;

/// <summary>
/// Takes the held calls of one daemon of a view, and of all that it starts. The keeper has a copy of the listener, so that a runtime's death leaves calls
/// waiting, and the memory that they are read into: what was read and not answered is found there by the next runtime. Thread-safe.
/// </summary>
internal sealed unsafe class CallListener : IDisposable
{
    // Calls under way at once; those beyond wait in the kernel.
    private const int Slots = 32;
    private const int SlotSize = 128;
    private const string Part = "calls/";
    private static readonly TimeSpan LookInterval = TimeSpan.FromMilliseconds(200);

    private readonly Keeping _keeping;
    private readonly RuntimeView _view;
    private readonly string _entry;
    private readonly SafeFileHandle _listener;
    private readonly KeptMemory _memory;
    private readonly CallHandler _handler;
    private readonly ILogger _logger;
    private readonly Lock _lock = new();
    private readonly bool[] _busy = new bool[Slots];
    private readonly SemaphoreSlim _free = new(Slots);
    private readonly Thread _thread;
    private int _users = 1;
    private int _left;
    private volatile bool _stopping;

    private CallListener(Keeping keeping, RuntimeView view, string entry, SafeFileHandle listener, KeptMemory memory, CallHandler handler, ILogger logger)
    {
        (_keeping, _view, _entry, _listener, _memory, _handler, _logger) = (keeping, view, entry, listener, memory, handler, logger);
        _thread = new Thread(Take, 256 * 1024) { IsBackground = true, Name = "view calls" };
        ulong synchronous = seccomp.SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP;

        // The caller and this thread take turns on one processor, which is several times as quick (Linux 6.6; others refuse). By value, not by pointer.
        _ = LibC.ioctl(Number, seccomp.SECCOMP_IOCTL_NOTIF_SET_FLAGS, (void*)synchronous);
    }

    private int Number => (int)_listener.DangerousGetHandle();

    /// <summary>Takes over a listener, which is its own from now on; null where that cannot be.</summary>
    public static CallListener? TryMake(Keeping keeping, RuntimeView view, SafeFileHandle listener, CallHandler handler, ILogger logger)
    {
        string entry = $"view/{view.Configuration.Name}/{Part}{Guid.NewGuid():N}";
        try
        {
            KeptMemory memory = keeping.Memory(entry + "/memory", Slots * SlotSize, out _);
            keeping.Hold(entry + "/listener", listener);
            return new CallListener(keeping, view, entry, listener, memory, handler, logger);
        }
        catch (KeeperException e)
        {
            Log.NoListener(logger, view.Configuration.Name, e.Message);
            listener.Dispose();
            return null;
        }
    }

    /// <summary>Those of an earlier runtime.</summary>
    public static IReadOnlyList<CallListener> Restore(Keeping keeping, RuntimeView view, CallHandler handler, ILogger logger)
    {
        List<CallListener> found = [];
        string beginning = $"view/{view.Configuration.Name}/{Part}";
        foreach (string entry in keeping.List(beginning).Select(one => one.Name).Where(name => name.EndsWith("/listener", StringComparison.Ordinal)).Select(name => name[..^"/listener".Length]))
        {
            if (keeping.Get(entry + "/listener")?.Descriptor is { } listener)
            {
                keeping.Hold(entry + "/listener", listener);
                found.Add(new CallListener(keeping, view, entry, listener, keeping.Memory(entry + "/memory", Slots * SlotSize, out _), handler, logger));
            }
        }

        return found;
    }

    /// <summary>Begins to answer.</summary>
    public void Begin() => _thread.Start();

    /// <summary>Leaves; the keeper goes on having what there is.</summary>
    public void Dispose()
    {
        _stopping = true;
        if (_thread.IsAlive && Thread.CurrentThread != _thread)
        {
            _thread.Join();
        }

        Leave();
    }

    /// <summary>Answers a call, once.</summary>
    /// <param name="slot">Where it was read to.</param>
    /// <param name="kind">The call.</param>
    /// <param name="result">What it returns, or a negated errno; null: the kernel does it as if it had not been held.</param>
    public void Answer(int slot, CallKind kind, long? result)
    {
        seccomp_notif* call = At(slot);
        var answer = new seccomp_notif_resp
        {
            id = call->id,
            val = result is >= 0 ? result.Value : 0,
            error = result is < 0 ? (int)result.Value : 0,
            flags = result is null ? seccomp.SECCOMP_USER_NOTIF_FLAG_CONTINUE : 0,
        };

        // SAFETY: one on this stack. Where its caller was killed meanwhile nobody wants it (ENOENT).
        _ = LibC.ioctl(Number, seccomp.SECCOMP_IOCTL_NOTIF_SEND, &answer);
        if (result is { } done)
        {
            _view.Counts.Done(kind, done);
        }

        Free(slot);
    }

    /// <summary>Whether a call's caller still waits, so that what was read of its memory was its own.</summary>
    public bool IsValid(ulong id) => LibC.ioctl(Number, seccomp.SECCOMP_IOCTL_NOTIF_ID_VALID, &id) == 0;

    /// <summary>Its name: no other listener ever has it.</summary>
    public string Entry => _entry;

    /// <summary>What was written beside a call, for the next runtime that reads it; 0 where nothing was.</summary>
    public ulong MarkOf(ulong id)
    {
        ulong* mark = MarkAt(id);
        return mark == null ? 0 : Volatile.Read(ref *mark);
    }

    /// <summary>Writes something beside a call that has not been answered.</summary>
    public void Mark(ulong id, ulong value)
    {
        ulong* mark = MarkAt(id);
        if (mark != null)
        {
            Volatile.Write(ref *mark, value);
        }
    }

    /// <summary>The view whose programs these are.</summary>
    public RuntimeView View => _view;

    // Behind the call, in its slot; null where the call has been answered.
    private ulong* MarkAt(ulong id)
    {
        for (int slot = 0; slot < Slots; slot++)
        {
            if (At(slot)->id == id)
            {
                return (ulong*)(At(slot) + 1);
            }
        }

        return null;
    }

    private seccomp_notif* At(int slot) => (seccomp_notif*)(_memory.Address + (slot * SlotSize));

    private void Take()
    {
        // uname(2) then says the view's name.
        using (SafeFileHandle? names = TryOpenNames())
        {
            _ = names is null ? -1 : LibC.setns((int)names.DangerousGetHandle(), sched.CLONE_NEWUTS);
        }

        for (int slot = 0; slot < Slots; slot++)
        {
            if (At(slot)->id != 0)
            {
                TakeUp(slot);
            }
        }

        while (!_stopping)
        {
            short events = Wait();
            if ((events & poll.POLLIN) != 0 && _free.Wait(LookInterval))
            {
                Receive();
            }
            else if ((events & (poll.POLLHUP | poll.POLLERR)) != 0)
            {
                // Nobody has the filter any more.
                _view.Remove(this);
                _keeping.DropAll(_entry + "/");
                Leave();
                return;
            }
        }
    }

    // An earlier runtime has read it, and not answered.
    private void TakeUp(int slot)
    {
        _free.Wait();
        _busy[slot] = true;
        if (IsValid(At(slot)->id))
        {
            Handle(slot);
        }
        else
        {
            Free(slot);
        }
    }

    private void Receive()
    {
        int slot;
        lock (_lock)
        {
            slot = Array.IndexOf(_busy, false);
            _busy[slot] = true;
        }

        new Span<byte>(At(slot), SlotSize).Clear();

        // SAFETY: a slot of the memory, of that size; the kernel fills it before it returns, so that a runtime that is killed has it there.
        if (LibC.ioctl(Number, seccomp.SECCOMP_IOCTL_NOTIF_RECV, At(slot)) < 0)
        {
            // Its caller was killed meanwhile.
            Free(slot);
            return;
        }

        Handle(slot);
    }

    private void Handle(int slot)
    {
        seccomp_notif call = *At(slot);
        CallKind kind = SeccompFilter.KindOf(call.data.nr);
        _view.Counts.Intercepted(kind);
        Interlocked.Increment(ref _users);
        bool isAnswered = false;
        try
        {
            _handler.Handle(this, kind, call, result =>
            {
                isAnswered = true;
                Answer(slot, kind, result);
                Release();
            });
        }
        catch (Exception e) when (!isAnswered)
        {
            // A bug: the caller must not wait for ever.
            Log.NoListener(_logger, _view.Configuration.Name, e.ToString());
            Answer(slot, kind, null);
            Release();
        }
    }

    private void Free(int slot)
    {
        lock (_lock)
        {
            At(slot)->id = 0;
            _busy[slot] = false;
        }

        _ = _free.Release();
    }

    private short Wait()
    {
        var wait = new pollfd { fd = Number, events = poll.POLLIN };

        // SAFETY: one on this stack.
        return LibC.poll(&wait, 1, (int)LookInterval.TotalMilliseconds) > 0 ? wait.revents : (short)0;
    }

    private void Leave()
    {
        if (Interlocked.Exchange(ref _left, 1) == 0)
        {
            Release();
        }
    }

    // The memory is used by answers that are under way.
    private void Release()
    {
        if (Interlocked.Decrement(ref _users) == 0)
        {
            _listener.Dispose();
            _memory.Dispose();
            _free.Dispose();
        }
    }

    private SafeFileHandle? TryOpenNames()
    {
        try
        {
            return File.OpenHandle(string.Create(CultureInfo.InvariantCulture, $"/proc/{_view.Init.Process}/ns/uts"));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // Expected: the view is just ending.
            return null;
        }
    }
}
