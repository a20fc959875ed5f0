using System.Net.Sockets;
using System.Runtime.InteropServices;
using System.Text;
using Dpu.Linux;
using FsCheck;
using FsCheck.Fluent;
using Wire = Dpu.Keeper.keeper;

namespace Dpu.Keeper.Tests;

/// <summary>Messages as no client of ours sends them, and other versions.</summary>
[TestClass]
public sealed unsafe class ProtocolTests
{
    [TestMethod]
    [TestCategory("root")]
    [DataRow(1u, 1u, 0, 1ul)]
    [DataRow(1u, 9u, 0, 1ul)]
    [DataRow(2u, 3u, errno.EPROTONOSUPPORT, 1ul)]
    [DataRow(0u, 1u, errno.EINVAL, 0ul)]
    [DataRow(3u, 1u, errno.EINVAL, 0ul)]
    public void Greeting_OfAnyVersions_IsAnsweredWithTheOneToUse(uint oldest, uint newest, int error, ulong version)
    {
        using KeeperProcess keeper = new();
        using Socket socket = keeper.ConnectRaw();
        keeper_message answer = Ask(socket, Head(Wire.KEEPER_HELLO) with { size = ((ulong)oldest << 32) | newest }, []);
        Assert.AreEqual(error, answer.error);
        Assert.AreEqual(version, answer.size);
        Assert.AreEqual(error == 0 ? 0 : errno.EPROTO, Ask(socket, Head(Wire.KEEPER_STATUS), []).error, "only who was greeted is served");
    }

    [TestMethod]
    [TestCategory("root")]
    public void Request_ThatIsWrong_IsAnsweredWithWhatIsWrong()
    {
        using KeeperProcess keeper = new();
        using Socket socket = Greeted(keeper);
        keeper_message put = Head(Wire.KEEPER_PUT);
        Assert.AreEqual(errno.ENOSYS, Ask(socket, Head(10), []).error);
        Assert.AreEqual(errno.ENOSYS, Ask(socket, Head(0), []).error);
        Assert.AreEqual(errno.EINVAL, Ask(socket, put with { flags = 0x80, name = 1 }, "a"u8).error, "a flag");
        Assert.AreEqual(errno.EINVAL, Ask(socket, put with { name = 0 }, []).error, "no name");
        Assert.AreEqual(errno.EINVAL, Ask(socket, put with { name = 3 }, "a\0b"u8).error, "a NUL");
        Assert.AreEqual(errno.ENAMETOOLONG, Ask(socket, put with { name = 256 }, new byte[256]).error);
        Assert.AreEqual(errno.ENAMETOOLONG, Ask(socket, put with { name = 1, note = 4097 }, new byte[4098]).error);
        Assert.AreEqual(errno.EBADMSG, Ask(socket, put with { name = 2 }, "a"u8).error, "shorter than it says");
        Assert.AreEqual(errno.EBADMSG, Ask(socket, put with { name = 1 }, "ab"u8).error, "longer than it says");
        Assert.AreEqual(errno.EBADMSG, Ask(socket, put with { name = uint.MaxValue, note = 2 }, "a"u8).error, "lengths that overflow");
        Assert.AreEqual(errno.EBADMSG, Ask(socket, put with { header = 1000, name = 1 }, "a"u8).error, "a head beyond the end");
        Assert.AreEqual(errno.EBADMSG, Ask(socket, put with { header = 8 }, []).error, "a head shorter than version 1's");
        Assert.AreEqual(errno.EMSGSIZE, Ask(socket, put, new byte[70000]).error);
        socket.Send([1]);
        Assert.AreEqual(errno.EBADMSG, Receive(socket).error, "one byte");
        Assert.AreEqual(0, Ask(socket, put with { name = 1 }, "a"u8).error, "and it serves on");
        Assert.AreEqual(14, (int)Status(socket).refused);
    }

    // Whatever comes, the keeper lives, answers, and has no descriptor more.
    [TestMethod]
    [TestCategory("root")]
    public void AnyMessage_IsAnswered()
    {
        using KeeperProcess keeper = new();
        using Socket socket = Greeted(keeper);
        int descriptors = keeper.Descriptors;
        Gen<byte[]> tails = ArbMap.Default.ArbFor<byte[]>().Generator;
        Gen<keeper_message> heads =
            from header in Gen.Elements<ushort>(0, 8, 40, 40, 40, 40, 48, 60000)
            from operation in Gen.Choose(0, 11)
            from flags in Gen.Elements(0u, 0u, 1u, 2u, 4u, uint.MaxValue)
            from name in Gen.Elements(0u, 1u, 2u, 5u, 255u, 256u, uint.MaxValue)
            from note in Gen.Elements(0u, 0u, 1u, 3u, 4096u, uint.MaxValue)
            from size in Gen.Elements(0ul, 1ul, 4096ul, ulong.MaxValue)
            select new keeper_message { header = header, operation = (ushort)operation, flags = flags, name = name, note = note, size = size };
        Prop.ForAll(heads.Zip(tails).ToArbitrary(), pair =>
        {
            // Most tails as long as the head says, so that more than the lengths are looked at.
            (keeper_message head, byte[] tail) = pair;
            long whole = (long)head.name + head.note;
            byte[] body = tail.Length % 4 != 0 && whole < 5000 ? [.. Enumerable.Range(0, (int)whole).Select(i => tail[i % tail.Length])] : tail;
            _ = Ask(socket, head, body);
            return true;
        }).QuickCheckThrowOnFailure();

        // Some of them were good requests for memory; some were greetings, the last of which may have asked for a version of tomorrow.
        using Socket another = Greeted(keeper);
        Assert.AreEqual(0, Ask(another, Head(Wire.KEEPER_DROP) with { flags = Wire.KEEPER_PREFIX }, []).error);
        Eventually.True(() => Status(another).closing == 0, KeeperProcess.Limit, "the closes");
        another.Dispose();
        Eventually.True(() => keeper.Descriptors <= descriptors, KeeperProcess.Limit, "no descriptor more");
    }

    [TestMethod]
    [TestCategory("root")]
    public void ClientThatTakesNoAnswers_LosesItsConnection_AndNobodyElse()
    {
        using KeeperProcess keeper = new();
        using Socket greedy = Greeted(keeper);
        using KeeperClient other = new KeeperClient(keeper.Socket);
        byte[] status = Message(Head(Wire.KEEPER_STATUS), []);
        SocketException ended = Assert.ThrowsExactly<SocketException>(() =>
        {
            for (int i = 0; i < 100_000; i++)
            {
                greedy.Send(status);
            }
        });
        Assert.IsTrue(ended.SocketErrorCode is SocketError.Shutdown or SocketError.ConnectionReset, ended.Message);
        Assert.AreEqual(1, other.Status().Clients);
        Eventually.True(() => keeper.Running.Error.Contains("does not take its answers", StringComparison.Ordinal), KeeperProcess.Limit, "the log");
    }

    [TestMethod]
    [TestCategory("root")]
    public void ManyClients_BeyondTheLimitAreRefused_AndThereIsRoomWhenOneGoes()
    {
        using KeeperProcess keeper = new();
        List<KeeperClient> clients = [];
        for (int i = 0; i < 64; i++)
        {
            clients.Add(new KeeperClient(keeper.Socket));
        }

        Assert.ThrowsExactly<KeeperException>(() => new KeeperClient(keeper.Socket));
        clients[0].Dispose();
        Eventually.True(() => clients[1].Status().Clients == 63, KeeperProcess.Limit, "the end of one");
        clients[0] = new KeeperClient(keeper.Socket);
        clients.ForEach(client => client.Dispose());
    }

    [TestMethod]
    [TestCategory("root")]
    public void Descriptor_WhereNoneBelongs_IsRefusedAndClosed()
    {
        using KeeperProcess keeper = new();
        using KeeperConnection connection = KeeperConnection.Open(keeper.Socket, KeeperProcess.Limit);
        int descriptors = keeper.Descriptors;
        using Microsoft.Win32.SafeHandles.SafeFileHandle file = File.OpenHandle("/dev/null");
        foreach (ushort operation in (ushort[])[Wire.KEEPER_GET, Wire.KEEPER_STATUS, Wire.KEEPER_MEMORY, Wire.KEEPER_WATCH, 99])
        {
            Assert.AreNotEqual(0, connection.Ask(operation, "a", descriptor: file, size: 4096).Head.error);
        }

        Eventually.True(() => keeper.Descriptors == descriptors, KeeperProcess.Limit, "the closes");
    }

    private static keeper_message Head(ushort operation) => new() { header = (ushort)sizeof(keeper_message), operation = operation, tag = 77 };

    private static byte[] Message(keeper_message head, ReadOnlySpan<byte> body) => [.. MemoryMarshal.AsBytes(new ReadOnlySpan<keeper_message>(in head)), .. body];

    private static keeper_message Ask(Socket socket, keeper_message head, ReadOnlySpan<byte> body)
    {
        socket.Send(Message(head, body));
        return Receive(socket);
    }

    private static keeper_message Receive(Socket socket) => MemoryMarshal.Read<keeper_message>(ReceiveWhole(socket));

    private static byte[] ReceiveWhole(Socket socket)
    {
        byte[] answer = new byte[Wire.KEEPER_MESSAGE_MAX];
        int length = socket.Receive(answer);
        Assert.IsGreaterThanOrEqualTo(sizeof(keeper_message), length);
        return answer[..length];
    }

    private static keeper_status Status(Socket socket)
    {
        socket.Send(Message(Head(Wire.KEEPER_STATUS), []));
        return MemoryMarshal.Read<keeper_status>(ReceiveWhole(socket).AsSpan(sizeof(keeper_message)));
    }

    private static Socket Greeted(KeeperProcess keeper)
    {
        Socket socket = keeper.ConnectRaw();
        Assert.AreEqual(0, Ask(socket, Head(Wire.KEEPER_HELLO) with { size = (1ul << 32) | 1 }, []).error);
        return socket;
    }
}
