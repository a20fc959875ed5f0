using Dpu.Link.Handshake;
using Dpu.Proto.V1;
using FsCheck;
using FsCheck.Fluent;
using Google.Protobuf;

namespace Dpu.Link.Tests.Handshake;

[TestClass]
public sealed class HelloCodecTests
{
    internal static Hello Good() => new()
    {
        Version = new LinkVersion { Major = 1, Minor = 0 },
        Features = 5,
        Machine = new Machine { Architecture = Architecture.Arm64, PageSize = 65536, Kernel = "6.12" },
        Software = "dpu-runtime/0.1.0",
        Name = "dpu1",
        SessionId = ByteString.CopyFrom(LinkLab.Session),
        Service = "fs",
        Fs = new FsParameters { Export = "home", MountId = 1 },
    };

    [TestMethod, TestCategory("unit")]
    public void TryParseHello_Good_IsTheSame()
    {
        Assert.IsTrue(HelloCodec.TryParseHello(Good().ToByteArray(), out var hello, out var error), error);
        Assert.AreEqual(Good(), hello);
    }

    [TestMethod, TestCategory("unit")]
    public void TryParseHello_EachBrokenField_IsNamed()
    {
        Check("version", h => h.Version = null);
        Check("session id", h => h.SessionId = ByteString.CopyFrom(new byte[15]));
        Check("session id", h => h.SessionId = ByteString.CopyFrom(new byte[17]));
        Check("session id", h => h.SessionId = ByteString.Empty);
        Check("name", h => h.Name = "DPU");
        Check("name", h => h.Name = new string('a', 64));
        Check("name", h => h.Name = "../dpu");
        Check("service", h => h.Service = "");
        Check("service", h => h.Service = "f s");
        Check("service", h => h.Service = new string('f', 33));
        Check("4096", h => h.Software = new string('s', 5000));

        static void Check(string expected, Action<Hello> spoil)
        {
            var hello = Good();
            spoil(hello);
            Assert.IsFalse(HelloCodec.TryParseHello(hello.ToByteArray(), out _, out var error));
            StringAssert.Contains(error, expected);
        }
    }

    [TestMethod, TestCategory("unit")]
    public void TryParseHello_TextsForLogs_LoseControlCharacters()
    {
        var hello = Good();
        hello.Software = "evil\u001b[2J\r\nname" + new string('x', 1000);
        hello.Machine.Kernel = "\u0007";
        Assert.IsTrue(HelloCodec.TryParseHello(hello.ToByteArray(), out var parsed, out _));
        StringAssert.StartsWith(parsed.Software, "evil?[2J??name");
        Assert.AreEqual(HelloCodec.MaxTextLength, parsed.Software.Length);
        Assert.AreEqual("?", parsed.Machine.Kernel);
    }

    [TestMethod, TestCategory("unit")]
    public void TryParseReply_RefusalOfUnknownKind_IsTakenAsARefusal()
    {
        var reply = new HelloReply { Status = (HelloStatus)77, Message = "no\u001b" };
        Assert.IsTrue(HelloCodec.TryParseReply(reply.ToByteArray(), out var parsed, out _));
        Assert.AreEqual("no?", parsed.Message);
        Assert.IsFalse(HelloCodec.TryParseReply(new HelloReply().ToByteArray(), out _, out _));
        Assert.IsFalse(HelloCodec.TryParseReply(new HelloReply { Status = HelloStatus.Ok }.ToByteArray(), out _, out _));
    }

    [TestMethod, TestCategory("unit")]
    public void TryParse_AnyBytes_NeverThrows() => Prop.ForAll<byte[]>(bytes =>
        (HelloCodec.TryParseHello(bytes, out var hello, out var helloError) ? hello is not null : helloError.Length > 0)
        && (HelloCodec.TryParseReply(bytes, out var reply, out var replyError) ? reply is not null : replyError.Length > 0)).QuickCheckThrowOnFailure();

    [TestMethod, TestCategory("unit")]
    public void TryParse_MutatedHello_NeverThrowsAndKeepsItsPromises() => Prop.ForAll<int, byte, int>((position, value, cut) =>
    {
        var bytes = Good().ToByteArray();
        bytes[(int)((uint)position % bytes.Length)] = value;
        var size = (int)((uint)cut % (bytes.Length + 1));
        return !HelloCodec.TryParseHello(bytes.AsSpan(0, size), out var hello, out _)
            || (hello.SessionId.Length == 16 && hello.Version is not null && hello.Service.Length is > 0 and <= 32
                && (hello.Name.Length == 0 || PeerIdentity.IsName(hello.Name)));
    }).QuickCheckThrowOnFailure();
}
