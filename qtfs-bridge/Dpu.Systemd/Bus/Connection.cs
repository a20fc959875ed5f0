using System.Collections.Concurrent;
using System.Diagnostics;
using System.Runtime.InteropServices;
using Dpu.Linux;
using Microsoft.Win32.SafeHandles;

namespace Dpu.Systemd.Bus;

/// <summary>
/// A connection to a bus, or to systemd itself, by libsystemd's sd-bus. The shape is Tmds.DBus's, which can so replace it. One thread has
/// the bus and waits for both sides: no caller waits for another one, and nothing that is late holds up what is asked next. Thread-safe.
/// </summary>
public sealed unsafe class Connection : IDisposable
{
    // Below it, systemd's own socket has no broker.
    private const string OwnSocket = "/systemd/private";
    private const byte Reply = 2;
    private const byte Error = 3;
    private const byte Signal = 4;

    private readonly string _address;
    private readonly SafeFileHandle _wake;
    private readonly Thread _thread;
    private readonly TaskCompletionSource _connected = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly ConcurrentQueue<Call> _asked = new();
    private readonly Dictionary<ulong, Call> _waiting = [];
    private readonly ConcurrentDictionary<SignalWatch, bool> _watches = new();
    private volatile bool _ends;
    private int _begun;
    private string? _over;

    /// <summary>One that is not connected.</summary>
    /// <param name="address">As D-Bus has it, for example <c>unix:path=/run/dbus/system_bus_socket</c>; what ends in /systemd/private is systemd's own socket.</param>
    public Connection(string address)
    {
        _address = address;
        int descriptor = LibC.Result(LibC.eventfd(0, eventfd_h.EFD_CLOEXEC | eventfd_h.EFD_NONBLOCK));
        _wake = descriptor >= 0 ? new SafeFileHandle(descriptor, ownsHandle: true) : throw new DisconnectedException($"no descriptor is left to connect to {address}");
        _thread = new Thread(Run, 256 * 1024) { IsBackground = true, Name = "sd-bus" };
    }

    /// <summary>Whether the other end is a broker, at which one asks for signals.</summary>
    public bool HasBroker => !_address.EndsWith(OwnSocket, StringComparison.Ordinal);

    /// <summary>Whether it has ended.</summary>
    public bool IsOver => Volatile.Read(ref _over) is not null;

    /// <summary>Connects; who waits no longer disposes.</summary>
    /// <exception cref="DisconnectedException">Nobody is there, or libsystemd is not.</exception>
    public Task ConnectAsync()
    {
        if (Interlocked.Exchange(ref _begun, 1) == 0)
        {
            _thread.Start();
        }

        return _connected.Task;
    }

    /// <summary>systemd's manager.</summary>
    public ISystemdManager CreateManager() => new SystemdManager(this);

    /// <inheritdoc/>
    public void Dispose()
    {
        _ends = true;
        Wake();
        if (Interlocked.Exchange(ref _begun, 1) == 0)
        {
            _wake.Dispose();
        }
    }

    /// <summary>Calls a method.</summary>
    internal Task<T> CallAsync<T>(string destination, string path, string @interface, string member, object[] arguments, Func<BusMessage, T> read)
    {
        var answer = new TaskCompletionSource<T>(TaskCreationOptions.RunContinuationsAsynchronously);
        _asked.Enqueue(new Call(destination, path, @interface, member, arguments, reply => answer.TrySetResult(read(reply)), e => answer.TrySetException(e)));
        if (Volatile.Read(ref _over) is { } over)
        {
            FailAll(over);
        }

        Wake();
        return answer.Task;
    }

    /// <summary>Has signals told, on the bus's thread, until what it returns is disposed.</summary>
    internal IDisposable Watch(string @interface, string member, Action<BusMessage> handler)
    {
        var watch = new SignalWatch(BusMessage.Bytes(@interface), BusMessage.Bytes(member), handler, this);
        _watches[watch] = true;
        return watch;
    }

    private void Wake()
    {
        try
        {
            bool held = false;
            _wake.DangerousAddRef(ref held);
            ulong one = 1;

            // SAFETY: one number on this stack. A full counter wakes as well.
            _ = LibC.write((int)_wake.DangerousGetHandle(), &one, sizeof(ulong));
            _wake.DangerousRelease();
        }
        catch (ObjectDisposedException)
        {
            // Expected: it has ended, and who asks is told.
        }
    }

    private void Run()
    {
        nint bus = 0;
        string why = "the connection was closed";
        try
        {
            Begin(&bus);
            Serve(bus);
        }
        catch (DisconnectedException e)
        {
            why = e.Message;
        }
        catch (Exception e) when (e is DllNotFoundException or EntryPointNotFoundException)
        {
            why = "libsystemd.so.0 is not there, or too old";
        }

        Volatile.Write(ref _over, $"{_address}: {why}");
        if (bus != 0)
        {
            LibSystemd.sd_bus_close(bus);
            _ = LibSystemd.sd_bus_unref(bus);
        }

        FailAll(_over!);
        _ = _connected.TrySetException(new DisconnectedException(_over!));
        _ = _connected.Task.Exception;
        _wake.Dispose();
    }

    private void Begin(nint* bus)
    {
        BusMessage.Check(LibSystemd.sd_bus_new(bus));
        fixed (byte* address = BusMessage.Bytes(_address))
        {
            BusMessage.Check(LibSystemd.sd_bus_set_address(*bus, address));
        }

        BusMessage.Check(LibSystemd.sd_bus_set_bus_client(*bus, HasBroker ? 1 : 0));
        BusMessage.Check(LibSystemd.sd_bus_start(*bus));
    }

    private void Serve(nint bus)
    {
        while (!_ends)
        {
            int done;
            do
            {
                nint message = 0;
                done = LibSystemd.sd_bus_process(bus, &message);
                if (message != 0)
                {
                    Take(message);
                    _ = LibSystemd.sd_bus_message_unref(message);
                }
            }
            while (done > 0 && !_ends);

            BusMessage.Check(done);
            if (!_connected.Task.IsCompleted && LibSystemd.sd_bus_is_ready(bus) > 0)
            {
                _ = _connected.TrySetResult();
            }

            while (_connected.Task.IsCompletedSuccessfully && _asked.TryDequeue(out Call? call))
            {
                Send(bus, call);
            }

            Wait(bus);
        }
    }

    private void Send(nint bus, Call call)
    {
        nint message = 0;
        try
        {
            fixed (byte* destination = BusMessage.Bytes(call.Destination), path = BusMessage.Bytes(call.Path), type = BusMessage.Bytes(call.Interface), member = BusMessage.Bytes(call.Member))
            {
                BusMessage.Check(LibSystemd.sd_bus_message_new_method_call(bus, &message, destination, path, type, member));
            }

            var writer = new BusMessage(message);
            Array.ForEach(call.Arguments, writer.Write);
            ulong cookie;
            BusMessage.Check(LibSystemd.sd_bus_send(bus, message, &cookie));
            _waiting[cookie] = call;
        }
        catch (Exception e) when (e is DisconnectedException or NotSupportedException)
        {
            call.Fail(e);
        }
        finally
        {
            _ = message == 0 ? 0 : LibSystemd.sd_bus_message_unref(message);
        }
    }

    private void Take(nint message)
    {
        byte type;
        ulong cookie;
        _ = LibSystemd.sd_bus_message_get_type(message, &type);
        if (type is Reply or Error && LibSystemd.sd_bus_message_get_reply_cookie(message, &cookie) >= 0 && _waiting.Remove(cookie, out Call? call))
        {
            try
            {
                if (type == Error)
                {
                    call.Fail(new BusMessage(message).Error());
                }
                else
                {
                    call.Answer(new BusMessage(message));
                }
            }
            catch (DisconnectedException e)
            {
                // Not of the shape that it should have.
                call.Fail(new DBusException("org.freedesktop.DBus.Error.InvalidSignature", e.Message));
            }
        }
        else if (type == Signal)
        {
            foreach (SignalWatch watch in _watches.Keys)
            {
                Tell(watch, message);
            }
        }
    }

    private static void Tell(SignalWatch watch, nint message)
    {
        fixed (byte* type = watch.Interface, member = watch.Member)
        {
            if (LibSystemd.sd_bus_message_is_signal(message, type, member) <= 0)
            {
                return;
            }
        }

        try
        {
            watch.Handler(new BusMessage(message));
        }
        catch (DisconnectedException)
        {
            // Somebody sends another thing by that name: no signal of ours.
        }
    }

    private void Wait(nint bus)
    {
        ulong until;
        BusMessage.Check(LibSystemd.sd_bus_get_timeout(bus, &until));
        ulong now = (ulong)(Stopwatch.GetTimestamp() / (Stopwatch.Frequency / 1_000_000));
        int milliseconds = until == ulong.MaxValue ? -1 : until <= now ? 0 : (int)Math.Min((until - now + 999) / 1000, int.MaxValue);
        pollfd* both = stackalloc pollfd[2];
        both[0] = new pollfd { fd = LibSystemd.sd_bus_get_fd(bus), events = (short)LibSystemd.sd_bus_get_events(bus) };
        both[1] = new pollfd { fd = (int)_wake.DangerousGetHandle(), events = poll.POLLIN };
        BusMessage.Check(both[0].fd);

        // SAFETY: two on this stack; the thread owns the bus, and the event until it ends.
        _ = LibC.poll(both, 2, milliseconds);
        if ((both[1].revents & poll.POLLIN) != 0)
        {
            ulong count;
            _ = LibC.read((int)_wake.DangerousGetHandle(), &count, sizeof(ulong));
        }
    }

    private void FailAll(string why)
    {
        while (_asked.TryDequeue(out Call? call))
        {
            call.Fail(new DisconnectedException(why));
        }

        // The bus's thread alone has others.
        if (Thread.CurrentThread == _thread)
        {
            foreach (Call call in _waiting.Values)
            {
                call.Fail(new DisconnectedException(why));
            }

            _waiting.Clear();
        }
    }

    private sealed record Call(string Destination, string Path, string Interface, string Member, object[] Arguments, Action<BusMessage> Answer, Action<Exception> Fail);

    private sealed class SignalWatch(byte[] type, byte[] member, Action<BusMessage> handler, Connection connection) : IDisposable
    {
        public byte[] Interface => type;

        public byte[] Member => member;

        public Action<BusMessage> Handler => handler;

        public void Dispose() => connection._watches.TryRemove(this, out _);
    }
}
