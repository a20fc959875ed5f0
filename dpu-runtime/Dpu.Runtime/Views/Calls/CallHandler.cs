using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Text;
using Dpu.Linux;
using Dpu.Relay;
using Dpu.Relay.Processes;
using Dpu.Runtime.Processes;

namespace Dpu.Runtime.Views.Calls;

/// <summary>
/// Decides what becomes of a call that a view's filter holds: what names a process that stands for a host's is done there, the rest is the kernel's. It is a
/// convenience, and no boundary: what a caller passes by pointer may change after it was read, and who is left to the kernel is checked by the kernel. Thread-safe.
/// </summary>
internal sealed unsafe class CallHandler(ProcessTable processes, MountCalls mounts, TimeProvider time, ILogger logger) : IDisposable
{
    private const int SysNice = 23; // CAP_SYS_NICE
    private const int SysResource = 24; // CAP_SYS_RESOURCE
    private const int AttributesSize = 48; // SCHED_ATTR_SIZE_VER0
    private const int LimitSize = 16;
    private const int FieldSize = 65;

    // A host that does not answer is not waited for longer: who pins or limits holds a lock of its own meanwhile.
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(10);

    private readonly StandIns _standIns = new(processes);

    // Answers come on threads that must not be kept, and copying into a caller's memory may wait for its pages.
    private readonly DialThreads _workers = new("view call");

    /// <summary>Handles one.</summary>
    /// <param name="listener">By which it came.</param>
    /// <param name="kind">Which.</param>
    /// <param name="call">It.</param>
    /// <param name="answered">Told once: what it returns, a negated errno, or null for the kernel to do it.</param>
    public void Handle(CallListener listener, CallKind kind, seccomp_notif call, Action<long?> answered)
    {
        if (kind == CallKind.Uname)
        {
            answered(Name(listener, call));
            return;
        }

        if (kind >= CallKind.Mount)
        {
            mounts.Handle(listener, kind, call, answered);
            return;
        }

        bool isPriority = kind is CallKind.SetPriority or CallKind.GetPriority;
        if (kind == CallKind.None || _standIns.Find((int)call.pid, (int)call.data.args[isPriority ? 1 : 0]) is not { } process)
        {
            answered(null);
            return;
        }

        long early = Prepare(kind, call, process, out ProcessCall? asked);
        if (asked is null || !listener.IsValid(call.id))
        {
            Tell(listener, kind, call, process, asked is null ? early : -errno.ESRCH, answered);
            return;
        }

        var once = new Once(this, listener, kind, call, process, answered);
        once.Wait(time, Limit);
        process.Call(asked, once.Answered);
    }

    public void Dispose()
    {
        mounts.Dispose();
        _workers.Dispose();
    }

    // What the host is asked; where there is nothing to ask, with what the call ends.
    private static long Prepare(CallKind kind, seccomp_notif call, StubProcess process, out ProcessCall? asked)
    {
        asked = null;
        ulong first = call.data.args[1];
        ulong second = call.data.args[2];
        bool changes = kind is CallKind.SchedSetAffinity or CallKind.SchedSetScheduler or CallKind.SchedSetParam or CallKind.SchedSetAttr or CallKind.SetPriority or CallKind.Prlimit;
        if (changes && !CallerMemory.MayChange(call.pid, process.Note.Uid, kind == CallKind.Prlimit ? SysResource : SysNice))
        {
            return -errno.EPERM;
        }

        switch (kind)
        {
            case CallKind.SchedSetAffinity:
                asked = Read(call, second, (int)Math.Min(first, ProcessCall.MaxContent)) is { } mask ? new(0, ProcessCallKind.SchedSetAffinity, 0, 0, mask) : null;
                return -errno.EFAULT;
            case CallKind.SchedGetAffinity:
                asked = new(0, ProcessCallKind.SchedGetAffinity, (long)Math.Min(first, ProcessCall.MaxContent), 0, []);
                return 0;
            case CallKind.SchedSetScheduler:
                asked = Read(call, second, sizeof(int)) is { } parameter ? new(0, ProcessCallKind.SchedSetScheduler, (int)first, MemoryMarshal.Read<int>(parameter), []) : null;
                return -errno.EFAULT;
            case CallKind.SchedSetParam:
                asked = Read(call, first, sizeof(int)) is { } priority ? new(0, ProcessCallKind.SchedSetParam, MemoryMarshal.Read<int>(priority), 0, []) : null;
                return -errno.EFAULT;
            case CallKind.SchedGetScheduler:
                asked = new(0, ProcessCallKind.SchedGetScheduler, 0, 0, []);
                return 0;
            case CallKind.SchedGetParam:
                asked = new(0, ProcessCallKind.SchedGetParam, 0, 0, []);
                return 0;
            case CallKind.SchedSetAttr:
                return ReadAttributes(call, first, (uint)second, out asked);
            case CallKind.SchedGetAttr:
                asked = new(0, ProcessCallKind.SchedGetAttr, (long)Math.Min((uint)second, ProcessCall.MaxContent), (uint)call.data.args[3], []);
                return 0;
            case CallKind.Prlimit:
                asked = Read(call, second, second == 0 ? 0 : LimitSize) is { } limits ? new(0, ProcessCallKind.Prlimit, (int)first, 0, limits) : null;
                return -errno.EFAULT;
            case CallKind.SetPriority:
                asked = new(0, ProcessCallKind.SetPriority, (int)second, 0, []);
                return 0;
            default:
                asked = new(0, ProcessCallKind.GetPriority, 0, 0, []);
                return 0;
        }
    }

    private static byte[]? Read(seccomp_notif call, ulong address, int size)
    {
        byte[] bytes = new byte[size];
        return CallerMemory.TryRead(call.pid, address, bytes) ? bytes : null;
    }

    private static long ReadAttributes(seccomp_notif call, ulong address, uint flags, out ProcessCall? asked)
    {
        asked = null;
        byte[] head = new byte[sizeof(uint)];
        if (!CallerMemory.TryRead(call.pid, address, head))
        {
            return -errno.EFAULT;
        }

        uint size = BinaryPrimitives.ReadUInt32LittleEndian(head);
        size = size == 0 ? AttributesSize : size;
        if (size is < AttributesSize or > ProcessCall.MaxContent)
        {
            return -errno.E2BIG;
        }

        byte[] attributes = new byte[size];
        if (!CallerMemory.TryRead(call.pid, address, attributes))
        {
            return -errno.EFAULT;
        }

        // Read once more: its size is what was looked at.
        BinaryPrimitives.WriteUInt32LittleEndian(attributes, size);
        asked = new(0, ProcessCallKind.SchedSetAttr, flags, 0, attributes);
        return 0;
    }

    // What the host has answered, as the caller is to see it.
    private long Finish(CallListener listener, CallKind kind, seccomp_notif call, ProcessCallAnswer answer)
    {
        ulong into = kind switch
        {
            CallKind.SchedGetAffinity or CallKind.Prlimit => call.data.args[kind == CallKind.Prlimit ? 3 : 2],
            CallKind.SchedGetParam or CallKind.SchedGetAttr => call.data.args[1],
            _ => 0,
        };
        int room = kind switch
        {
            CallKind.SchedGetAffinity => (int)Math.Min(call.data.args[1], ProcessCall.MaxContent),
            CallKind.SchedGetAttr => (int)Math.Min((uint)call.data.args[2], ProcessCall.MaxContent),
            CallKind.SchedGetParam => sizeof(int),
            CallKind.Prlimit => LimitSize,
            _ => 0,
        };
        if (answer.Result < 0 || into == 0)
        {
            return answer.Result;
        }

        // A host that says more than was asked for writes no further than that.
        return answer.Content.Length > room || answer.Content.Length < (kind == CallKind.SchedGetAffinity ? answer.Result : 0) ? -errno.EIO
            : !listener.IsValid(call.id) || CallerMemory.TryWrite(call.pid, into, answer.Content) ? answer.Result
            : -errno.EFAULT;
    }

    private void Tell(CallListener listener, CallKind kind, seccomp_notif call, StubProcess process, long result, Action<long?> answered)
    {
        if (result < 0)
        {
            Log.CallFailed(logger, kind.ToString(), call.pid, listener.View.Configuration.Name, process.Process, process.Note.Host, Marshal.GetPInvokeErrorMessage((int)-result));
        }
        else
        {
            Log.CallDone(logger, kind.ToString(), call.pid, listener.View.Configuration.Name, process.Note.Host, process.Process, $"{result}");
        }

        answered(result);
    }

    // On the listener's own thread, which is in the view's namespace of names.
    private static long Name(CallListener listener, seccomp_notif call)
    {
        utsname name;

        // SAFETY: one on this stack.
        if (LibC.uname(&name) < 0)
        {
            return -errno.EFAULT;
        }

        var machine = new Span<byte>(name.machine, FieldSize);
        machine.Clear();
        _ = Encoding.ASCII.GetBytes(listener.View.Configuration.Machine, machine[..^1]);
        return listener.IsValid(call.id) && CallerMemory.TryWrite(call.pid, call.data.args[0], new ReadOnlySpan<byte>(&name, sizeof(utsname))) ? 0 : -errno.EFAULT;
    }

    // The host's answer, or none in time: one of both.
    private sealed class Once(CallHandler handler, CallListener listener, CallKind kind, seccomp_notif call, StubProcess process, Action<long?> answered)
    {
        private int _done;
        private ITimer? _timer;

        public void Wait(TimeProvider time, TimeSpan limit) => _timer = time.CreateTimer(_ => Answered(new(0, -errno.EHOSTUNREACH, [])), null, limit, Timeout.InfiniteTimeSpan);

        public void Answered(ProcessCallAnswer answer)
        {
            if (Interlocked.Exchange(ref _done, 1) == 0)
            {
                _timer?.Dispose();
                handler._workers.Run(() => handler.Tell(listener, kind, call, process, handler.Finish(listener, kind, call, answer), answered));
            }
        }
    }
}
