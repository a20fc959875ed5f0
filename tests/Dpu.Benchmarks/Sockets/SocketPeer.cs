using System.Net.Sockets;
using Dpu.Linux;

namespace Dpu.Benchmarks.Sockets;

/// <summary>
/// The program at the other end, in a process of its own: what it does with a connection says the first byte that comes on it. Plain
/// system calls that block, so that what is measured is what lies between.
/// </summary>
internal static unsafe class SocketPeer
{
    /// <summary>The first argument of the process.</summary>
    public const string Verb = "serve-sockets";

    /// <summary>Each 64 bytes come back.</summary>
    public const byte PingPong = (byte)'p';

    /// <summary>All is taken, and one byte comes back at the end.</summary>
    public const byte Sink = (byte)'s';

    /// <summary>One byte comes back, and the connection ends.</summary>
    public const byte Greeting = (byte)'g';

    /// <summary>One byte comes back, and the connection stays.</summary>
    public const byte Idle = (byte)'i';

    /// <summary>Bytes of a message of <see cref="PingPong"/>.</summary>
    public const int MessageSize = 64;

    /// <summary>Bytes that are sent at once to a <see cref="Sink"/>.</summary>
    public const int ChunkSize = 128 << 10;

    private const int Servers = 8;

    /// <summary>Serves connections at a path until it is killed.</summary>
    public static int Serve(string path)
    {
        using Socket listener = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        listener.Bind(new UnixDomainSocketEndPoint(path));
        listener.Listen(4096);
        Console.WriteLine("ready");
        int socket = (int)listener.Handle;

        // Several threads in accept(2): one that carries bytes does not hold up who connects.
        Thread[] threads = [.. Enumerable.Range(0, Servers).Select(_ => new Thread(() => Accept(listener)))];
        Array.ForEach(threads, thread => thread.Start());
        Array.ForEach(threads, thread => thread.Join());
        return socket;
    }

    private static void Accept(Socket listener)
    {
        byte* buffer = stackalloc byte[ChunkSize];
        while (true)
        {
            // SAFETY: no address is asked for. Connections that stay are the process's until it ends.
            int connection = sys_socket.accept4(listener.SafeHandle, null, null, sys_socket.SOCK_CLOEXEC);
            if (connection < 0)
            {
                return;
            }

            if (!ServeOne(connection, buffer))
            {
                _ = LibC.close(connection);
            }
        }
    }

    // Whether it stays.
    private static bool ServeOne(int connection, byte* buffer)
    {
        if (LibC.read(connection, buffer, 1) != 1)
        {
            return false;
        }

        switch (buffer[0])
        {
            case PingPong:
                while (ReadWhole(connection, buffer, MessageSize) && LibC.write(connection, buffer, MessageSize) == MessageSize)
                {
                    // The next.
                }

                return false;
            case Sink:
                while (LibC.read(connection, buffer, ChunkSize) > 0)
                {
                    // The next.
                }

                _ = LibC.write(connection, buffer, 1);
                return false;
            default:
                bool stays = buffer[0] == Idle;
                return LibC.write(connection, buffer, 1) == 1 && stays;
        }
    }

    /// <summary>Reads so many bytes; false where the connection ends before.</summary>
    public static bool ReadWhole(int connection, byte* buffer, int size)
    {
        for (int done = 0; done < size;)
        {
            nint read = LibC.read(connection, buffer + done, (nuint)(size - done));
            if (read <= 0)
            {
                return false;
            }

            done += (int)read;
        }

        return true;
    }
}
