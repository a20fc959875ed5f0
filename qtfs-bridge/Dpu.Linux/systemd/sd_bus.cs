#pragma warning disable CA1707, CS1591, IDE1006, CS8981
using System.Runtime.InteropServices;

namespace Dpu.Linux;

/// <summary>
/// libsystemd's functions for D-Bus under their own names; there on each machine that systemd runs, and loaded by the first call: a machine without it
/// throws <see cref="DllNotFoundException"/>. Buses and messages are opaque. They return what C returns: a negated errno where they fail. A bus
/// belongs to one thread at a time.
/// </summary>
/// <remarks>Variadic ones (sd_bus_message_append(3)) are left out: their fixed counterparts do the same.</remarks>
public static unsafe partial class LibSystemd
{
    private const string Library = "libsystemd.so.0";

    /// <summary>sd_bus_new(3): a bus that is not connected.</summary>
    [LibraryImport(Library)]
    public static partial int sd_bus_new(nint* bus);

    /// <summary>sd_bus_set_address(3).</summary>
    [LibraryImport(Library)]
    public static partial int sd_bus_set_address(nint bus, byte* address);

    /// <summary>sd_bus_set_bus_client(3): whether the other end is a broker, to which one says Hello; else it is a peer.</summary>
    [LibraryImport(Library)]
    public static partial int sd_bus_set_bus_client(nint bus, int broker);

    /// <summary>sd_bus_start(3): begins to connect.</summary>
    [LibraryImport(Library)]
    public static partial int sd_bus_start(nint bus);

    /// <summary>sd_bus_is_ready(3): 1 when all is set up.</summary>
    [LibraryImport(Library)]
    public static partial int sd_bus_is_ready(nint bus);

    /// <summary>sd_bus_close(3).</summary>
    [LibraryImport(Library)]
    public static partial void sd_bus_close(nint bus);

    /// <summary>sd_bus_unref(3); 0.</summary>
    [LibraryImport(Library)]
    public static partial nint sd_bus_unref(nint bus);

    /// <summary>sd_bus_get_fd(3): what to wait on.</summary>
    [LibraryImport(Library)]
    public static partial int sd_bus_get_fd(nint bus);

    /// <summary>sd_bus_get_events(3): for what, as poll(2) has it.</summary>
    [LibraryImport(Library)]
    public static partial int sd_bus_get_events(nint bus);

    /// <summary>sd_bus_get_timeout(3): until when, in microseconds of CLOCK_MONOTONIC; ~0 for ever.</summary>
    [LibraryImport(Library)]
    public static partial int sd_bus_get_timeout(nint bus, ulong* until);

    /// <summary>sd_bus_process(3): does one thing; 0 where there is none. A message that no callback takes is the caller's.</summary>
    [LibraryImport(Library)]
    public static partial int sd_bus_process(nint bus, nint* message);

    /// <summary>sd_bus_send(3), with what names the reply.</summary>
    [LibraryImport(Library)]
    public static partial int sd_bus_send(nint bus, nint message, ulong* cookie);

    /// <summary>sd_bus_message_new_method_call(3).</summary>
    [LibraryImport(Library)]
    public static partial int sd_bus_message_new_method_call(nint bus, nint* message, byte* destination, byte* path, byte* @interface, byte* member);

    /// <summary>sd_bus_message_unref(3); 0.</summary>
    [LibraryImport(Library)]
    public static partial nint sd_bus_message_unref(nint message);

    /// <summary>sd_bus_message_append_basic(3): of strings the text itself, of others what holds the value.</summary>
    [LibraryImport(Library)]
    public static partial int sd_bus_message_append_basic(nint message, byte type, void* value);

    /// <summary>sd_bus_message_open_container(3).</summary>
    [LibraryImport(Library)]
    public static partial int sd_bus_message_open_container(nint message, byte type, byte* contents);

    /// <summary>sd_bus_message_close_container(3).</summary>
    [LibraryImport(Library)]
    public static partial int sd_bus_message_close_container(nint message);

    /// <summary>sd_bus_message_read_basic(3): strings are the message's.</summary>
    [LibraryImport(Library)]
    public static partial int sd_bus_message_read_basic(nint message, byte type, void* value);

    /// <summary>sd_bus_message_get_type(3): 1 a call, 2 a reply, 3 an error, 4 a signal.</summary>
    [LibraryImport(Library)]
    public static partial int sd_bus_message_get_type(nint message, byte* type);

    /// <summary>sd_bus_message_get_reply_cookie(3): what it answers.</summary>
    [LibraryImport(Library)]
    public static partial int sd_bus_message_get_reply_cookie(nint message, ulong* cookie);

    /// <summary>sd_bus_message_is_signal(3).</summary>
    [LibraryImport(Library)]
    public static partial int sd_bus_message_is_signal(nint message, byte* @interface, byte* member);

    /// <summary>sd_bus_message_get_error(3): of sd_bus_error, whose first members are the error's name and its text; the message's.</summary>
    [LibraryImport(Library)]
    public static partial byte** sd_bus_message_get_error(nint message);
}
