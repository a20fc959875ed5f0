using System.Globalization;
using System.Net.Sockets;
using System.Text;

namespace Dpu.Systemd;

/// <summary>
/// sd_notify(3) without libsystemd: one datagram a message to the unix socket in NOTIFY_SOCKET, a path or, beginning
/// with '@', an abstract name. Does nothing where the variable is not set. Thread-safe; never throws, as a daemon must
/// not end because its manager does not listen: failures are counted.
/// </summary>
public sealed class SystemdNotifier : ISystemdNotifier, IDisposable
{
    private readonly Socket? _socket;
    private readonly UnixDomainSocketEndPoint? _manager;
    private readonly TimeProvider _clock;
    private long _failures;

    /// <param name="notifySocket">The value of NOTIFY_SOCKET; null or empty for none.</param>
    /// <param name="watchdog">Within which time the manager wants to hear of us; null for never.</param>
    /// <param name="clock">Its timestamps must be CLOCK_MONOTONIC's, as those of the system's are on Linux.</param>
    public SystemdNotifier(string? notifySocket, TimeSpan? watchdog, TimeProvider clock)
    {
        ArgumentNullException.ThrowIfNull(clock);
        _clock = clock;
        // Other address families (vsock: in virtual machines, to their host) are for the container manager, not for us.
        if (string.IsNullOrEmpty(notifySocket) || notifySocket[0] is not ('/' or '@') || notifySocket.Length < 2)
        {
            return;
        }

        try
        {
            _manager = new UnixDomainSocketEndPoint(notifySocket[0] == '@' ? '\0' + notifySocket[1..] : notifySocket);
            _socket = new Socket(AddressFamily.Unix, SocketType.Dgram, ProtocolType.Unspecified)
            {
                // A manager that does not read must not stop the daemon.
                SendTimeout = 1000,
            };
            WatchdogInterval = watchdog;
        }
        catch (Exception e) when (e is ArgumentException or SocketException)
        {
            // Expected: the name is too long, or no descriptor is left.
            _failures++;
        }
    }

    /// <inheritdoc/>
    public bool IsEnabled => _socket is not null;

    /// <inheritdoc/>
    public TimeSpan? WatchdogInterval { get; }

    /// <summary>Messages that could not be sent.</summary>
    public long Failures => Interlocked.Read(ref _failures);

    /// <summary>
    /// Makes one of NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID, and removes them, so that programs started later do
    /// not speak in our name.
    /// </summary>
    public static SystemdNotifier FromEnvironment(TimeProvider clock)
    {
        string? socket = Environment.GetEnvironmentVariable("NOTIFY_SOCKET");
        TimeSpan? watchdog = ParseWatchdog(
            Environment.GetEnvironmentVariable("WATCHDOG_USEC"),
            Environment.GetEnvironmentVariable("WATCHDOG_PID"),
            Environment.ProcessId);
        foreach (string name in (ReadOnlySpan<string>)["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"])
        {
            Environment.SetEnvironmentVariable(name, null);
        }

        return new SystemdNotifier(socket, watchdog, clock);
    }

    /// <summary>The watchdog's interval as sd_watchdog_enabled(3) reads it; null where it is not meant for us.</summary>
    public static TimeSpan? ParseWatchdog(string? microseconds, string? pid, int ownPid)
    {
        bool isOurs = string.IsNullOrEmpty(pid)
            || (int.TryParse(pid, NumberStyles.None, CultureInfo.InvariantCulture, out int wanted) && wanted == ownPid);
        return isOurs
            && long.TryParse(microseconds, NumberStyles.None, CultureInfo.InvariantCulture, out long value)
            && value is > 0 and <= long.MaxValue / TimeSpan.TicksPerMicrosecond
            ? TimeSpan.FromTicks(value * TimeSpan.TicksPerMicrosecond)
            : null;
    }

    /// <inheritdoc/>
    public void Ready(string status) => Send($"READY=1\nSTATUS={OneLine(status)}");

    /// <inheritdoc/>
    // sd_notify(3): RELOADING=1 comes with the time, so that the manager tells an older READY=1 from the one that follows.
    public void Reloading() => Send(string.Create(
        CultureInfo.InvariantCulture, $"RELOADING=1\nMONOTONIC_USEC={MonotonicMicroseconds()}\nSTATUS=Reloading the configuration"));

    /// <inheritdoc/>
    public void Stopping(string status) => Send($"STOPPING=1\nSTATUS={OneLine(status)}");

    /// <inheritdoc/>
    public void Status(string status) => Send($"STATUS={OneLine(status)}");

    /// <inheritdoc/>
    public void Watchdog() => Send("WATCHDOG=1");

    /// <inheritdoc/>
    public void Dispose() => _socket?.Dispose();

    // A line break would begin another assignment.
    private static string OneLine(string? text) => (text ?? string.Empty).ReplaceLineEndings(" ");

    private long MonotonicMicroseconds() =>
        (long)((Int128)_clock.GetTimestamp() * 1_000_000 / _clock.TimestampFrequency);

    private void Send(string message)
    {
        if (_socket is null || _manager is null)
        {
            return;
        }

        try
        {
            _ = _socket.SendTo(Encoding.UTF8.GetBytes(message), SocketFlags.None, _manager);
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // Expected: the manager is restarting, or we are past our end.
            Interlocked.Increment(ref _failures);
        }
    }
}
