using System.Runtime.InteropServices;
using System.Text;
using Dpu.Linux;

namespace Dpu.Relay.Addresses;

/// <summary>An address of a unix socket as people write it: an absolute path, or <c>@</c> and an abstract name (unix(7)).</summary>
public static unsafe class UnixAddress
{
    private const int Offset = sizeof(ushort);

    /// <summary>The bytes of an address at most, as the kernel has it.</summary>
    public const int MaxSize = Offset + 108;

    /// <summary>What is wrong with one; null where nothing is. Pure.</summary>
    public static string? Problem(string address)
    {
        ArgumentNullException.ThrowIfNull(address);
        int size = Encoding.UTF8.GetByteCount(address);
        return address.StartsWith('@')
            ? size is < 2 or > 108 ? "an abstract name has 1 to 107 bytes" : null
            : !address.StartsWith('/') || address.EndsWith('/') || address.Contains('\0', StringComparison.Ordinal) || address[1..].Split('/').Any(part => part is "" or "." or "..")
            ? "it is no absolute path without \".\", \"..\" and \"//\", and no @ with an abstract name"
            : size > 107 ? "a path of a socket has 107 bytes at most" : null;
    }

    /// <summary>Writes it as the kernel wants it; the number of bytes.</summary>
    /// <param name="address">One without a <see cref="Problem"/>.</param>
    /// <param name="room"><see cref="MaxSize"/> bytes.</param>
    public static uint Write(string address, Span<byte> room)
    {
        room.Clear();
        MemoryMarshal.Write(room, (ushort)sys_socket.AF_UNIX);
        int size = Encoding.UTF8.GetBytes(address, room[Offset..]);
        if (address.StartsWith('@'))
        {
            // Its bytes are all that count; there is no NUL behind.
            room[Offset] = 0;
            return (uint)(Offset + size);
        }

        return (uint)(Offset + size + 1);
    }

    /// <summary>bind(2); 0 or a negated errno.</summary>
    public static int Bind(SafeHandle socket, string address)
    {
        byte* room = stackalloc byte[MaxSize];
        uint size = Write(address, new Span<byte>(room, MaxSize));

        // SAFETY: on this stack, with its size.
        return sys_socket.bind(socket, room, size) < 0 ? -Marshal.GetLastPInvokeError() : 0;
    }

    /// <summary>connect(2); 0 or a negated errno.</summary>
    public static int Connect(SafeHandle socket, string address)
    {
        byte* room = stackalloc byte[MaxSize];
        uint size = Write(address, new Span<byte>(room, MaxSize));

        // SAFETY: on this stack, with its size.
        return sys_socket.connect(socket, room, size) < 0 ? -Marshal.GetLastPInvokeError() : 0;
    }
}
