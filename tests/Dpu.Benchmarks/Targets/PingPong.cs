using System.Diagnostics;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using Dpu.Linux;

namespace Dpu.Benchmarks.Targets;

/// <summary>
/// The floor of a link: two processes that send each other messages of a request's and a reply's size over a unix socket,
/// by blocking read(2) and write(2), and do nothing else.
/// </summary>
internal static unsafe class PingPong
{
    /// <summary>The first argument of the child process that answers.</summary>
    public const string Verb = "serve-ping-pong";

    private const int Room = 1 << 20;

    // Each question begins with its own size and the size of the answer.
    private const int HeaderSize = 2 * sizeof(int);

    /// <summary>The child: answers one connection until it ends; returns 0.</summary>
    public static int Serve(string path)
    {
        using Socket listener = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        listener.Bind(new UnixDomainSocketEndPoint(path));
        listener.Listen(1);
        using Socket connection = listener.Accept();
        int socket = (int)connection.Handle;

        // SAFETY: Room bytes; ReadWhole and write stay within sizes that were compared with it.
        byte* buffer = (byte*)NativeMemory.AlignedAlloc(Room, 4096);
        while (ReadWhole(socket, buffer, HeaderSize))
        {
            int request = ((int*)buffer)[0], reply = ((int*)buffer)[1];
            if (request is < HeaderSize or > Room || reply is < 1 or > Room
                || (request > HeaderSize && !ReadWhole(socket, buffer + HeaderSize, request - HeaderSize))
                || LibC.write(socket, buffer, (nuint)reply) != reply)
            {
                break;
            }
        }

        NativeMemory.AlignedFree(buffer);
        return 0;
    }

    /// <summary>Asks for the duration; returns microseconds a round trip.</summary>
    /// <exception cref="IOException">The child has ended.</exception>
    public static double Measure(Socket connection, int requestSize, int replySize, TimeSpan duration)
    {
        int socket = (int)connection.Handle;

        // SAFETY: as in Serve.
        byte* buffer = (byte*)NativeMemory.AlignedAlloc(Room, 4096);
        try
        {
            long operations = 0;
            long start = Stopwatch.GetTimestamp();
            TimeSpan elapsed;
            do
            {
                ((int*)buffer)[0] = requestSize;
                ((int*)buffer)[1] = replySize;
                if (LibC.write(socket, buffer, (nuint)requestSize) != requestSize || !ReadWhole(socket, buffer, replySize))
                {
                    throw new IOException("the other end of the ping-pong has gone");
                }

                operations++;
                elapsed = Stopwatch.GetElapsedTime(start);
            }
            while (elapsed < duration);
            return elapsed.TotalMicroseconds / operations;
        }
        finally
        {
            NativeMemory.AlignedFree(buffer);
        }
    }

    private static bool ReadWhole(int socket, byte* buffer, int size)
    {
        for (int done = 0; done < size;)
        {
            nint read = LibC.read(socket, buffer + done, (nuint)(size - done));
            if (read <= 0)
            {
                return false;
            }

            done += (int)read;
        }

        return true;
    }
}
