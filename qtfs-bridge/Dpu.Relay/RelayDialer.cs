using System.Buffers.Binary;
using Dpu.Link;
using Dpu.Proto.V1;
using Dpu.Relay.Wire;

namespace Dpu.Relay;

/// <summary>The DPU's end of service <c>relay</c>: what comes before the bytes.</summary>
public static class RelayDialer
{
    /// <summary>The far socket may have to wait for its listener to accept; the host gives up before.</summary>
    internal static readonly TimeSpan Limit = TimeSpan.FromSeconds(40);

    /// <summary>Waits until the host has connected; blocks.</summary>
    /// <param name="connection">A connection of service relay after its hello.</param>
    /// <returns>0, or a negated errno: what the host's kernel said, or EPROTO where the host does not keep to the protocol.</returns>
    /// <exception cref="IOException">The link broke.</exception>
    public static int AwaitOpened(LinkConnection connection)
    {
        ArgumentNullException.ThrowIfNull(connection);
        connection.SetTimeouts(Limit, Limit);
        Span<byte> frame = stackalloc byte[RelayFrame.HeaderSize + sizeof(int)];
        connection.Stream.ReadExactly(frame);
        connection.SetTimeouts(TimeSpan.Zero, TimeSpan.Zero);
        return RelayFrame.TryReadOpened(frame, out int error) ? -error : -Dpu.Linux.errno.EPROTO;
    }

    /// <summary>Reads the host's answer to what was asked for on a connection that another relay has left.</summary>
    /// <param name="spare">The connection.</param>
    /// <param name="parameters">What was asked.</param>
    /// <param name="content">The answer.</param>
    /// <param name="connection">The same connection, of the new relay. Where the result is not 0 nothing more can be asked on it.</param>
    /// <returns>As of <see cref="AwaitOpened"/>.</returns>
    /// <exception cref="LinkException">The host refuses; the connection is to be closed.</exception>
    /// <exception cref="IOException">The host does not keep to the protocol.</exception>
    internal static int Opened(LinkConnection spare, RelayParameters parameters, ReadOnlySpan<byte> content, out LinkConnection connection)
    {
        if (!RelayFrame.TryReadAnswer(content, out int error, out HelloReply? answer))
        {
            throw new IOException("the host's answer to which relay is next is malformed");
        }

        if (answer.Status != HelloStatus.Ok)
        {
            throw new LinkException(LinkError.Refused, $"{spare.Peer.Name} refused the connection with a socket ({answer.Status}): {answer.Message}", answer.Status);
        }

        HelloReply reply = spare.Reply.Clone();
        reply.Relay = answer.Relay ?? new RelayResult();
        Hello hello = spare.Hello.Clone();
        hello.Relay = parameters;
        connection = spare.Next(hello, reply);
        return -error;
    }

    /// <summary>Waits until the host says how much of a relay that was lost has come to it; blocks.</summary>
    /// <param name="connection">A connection of service relay after its hello, which names the relay.</param>
    /// <param name="received">Bytes of frames that the host has.</param>
    /// <returns>False where the host does not keep to the protocol.</returns>
    /// <exception cref="IOException">The link broke, or the relay is over there.</exception>
    public static bool AwaitResumed(LinkConnection connection, out ulong received)
    {
        ArgumentNullException.ThrowIfNull(connection);
        connection.SetTimeouts(Limit, Limit);
        Span<byte> frame = stackalloc byte[RelayFrame.CountedSize];
        connection.Stream.ReadExactly(frame);
        connection.SetTimeouts(TimeSpan.Zero, TimeSpan.Zero);
        received = RelayFrame.TotalOf(frame);
        return RelayFrame.TryRead(frame, out RelayFrameKind kind, out _) && kind == RelayFrameKind.Resumed;
    }

    /// <summary>Waits until a program of the host has connected, without end: <see cref="LinkConnection.Abort"/> ends it.</summary>
    /// <param name="connection">A connection of service relay after its hello, which names a socket that is bound for a program here.</param>
    /// <param name="uid">The program's user.</param>
    /// <param name="gid">Its group.</param>
    /// <returns>0, or a negated errno: why there will be none, or EPROTO where the host does not keep to the protocol.</returns>
    /// <exception cref="IOException">The link broke.</exception>
    public static int AwaitAccepted(LinkConnection connection, out uint uid, out uint gid)
    {
        ArgumentNullException.ThrowIfNull(connection);
        (uid, gid) = (uint.MaxValue, uint.MaxValue);
        Span<byte> frame = stackalloc byte[RelayFrame.HeaderSize + (2 * sizeof(uint))];
        connection.SetTimeouts(TimeSpan.Zero, TimeSpan.Zero);
        connection.Stream.ReadExactly(frame[..RelayFrame.HeaderSize]);
        if (!RelayFrame.TryRead(frame[..RelayFrame.HeaderSize], out RelayFrameKind kind, out int length) || kind is not (RelayFrameKind.Opened or RelayFrameKind.Accepted))
        {
            return -Dpu.Linux.errno.EPROTO;
        }

        connection.Stream.ReadExactly(frame.Slice(RelayFrame.HeaderSize, length));
        if (kind == RelayFrameKind.Opened)
        {
            return RelayFrame.TryReadOpened(frame[..(RelayFrame.HeaderSize + length)], out int error) && error != 0 ? -error : -Dpu.Linux.errno.EPROTO;
        }

        uid = BinaryPrimitives.ReadUInt32LittleEndian(frame[RelayFrame.HeaderSize..]);
        gid = BinaryPrimitives.ReadUInt32LittleEndian(frame[(RelayFrame.HeaderSize + sizeof(uint))..]);
        return 0;
    }

    /// <summary>
    /// Nobody waits any more for who connects at the host: a wait there ends, and so does at once what has just begun, of which nothing may be known here yet.
    /// </summary>
    /// <param name="connection">A connection on which another thread is in <see cref="AwaitAccepted"/>, which returns, and disposes of it afterwards.</param>
    public static void Withdraw(LinkConnection connection)
    {
        ArgumentNullException.ThrowIfNull(connection);
        try
        {
            WriteReset(connection);
        }
        catch (IOException)
        {
            // Expected: the link broke as well.
        }
        finally
        {
            connection.Abort();
        }
    }

    /// <summary>Ends a relay that was accepted and cannot be joined here: the host's program sees a reset at once, and nothing waits for it to be resumed.</summary>
    /// <param name="connection">Its connection, after <see cref="AwaitAccepted"/>; disposed.</param>
    public static void Refuse(LinkConnection connection)
    {
        ArgumentNullException.ThrowIfNull(connection);
        try
        {
            connection.SetTimeouts(Limit, Limit);
            WriteReset(connection);
        }
        catch (IOException)
        {
            // Expected: the link broke as well.
        }
        finally
        {
            connection.Dispose();
        }
    }

    private static void WriteReset(LinkConnection connection)
    {
        Span<byte> frame = stackalloc byte[RelayFrame.HeaderSize];
        RelayFrame.Write(frame, RelayFrameKind.Reset, 0);
        connection.Stream.Write(frame);
    }
}
