using Dpu.Link.Handshake;
using Dpu.Proto.V1;
using Google.Protobuf;

namespace Dpu.Link.Tests.Handshake;

[TestClass]
public sealed class HelloNegotiationTests
{
    private static readonly LinkLocal Local = new() { Name = "host1", Major = 1, Minor = 3, Features = 0b1110 };

    [TestMethod, TestCategory("unit")]
    [DataRow(0u, 0u)]
    [DataRow(2u, 2u)]
    [DataRow(3u, 3u)]
    [DataRow(9u, 3u)]
    public void Answer_SameMajor_SpeaksTheLowerMinorAndCommonFeatures(uint theirs, uint spoken)
    {
        var hello = HelloCodecTests.Good();
        hello.Version.Minor = theirs;
        hello.Features = 0b0111;
        var reply = HelloNegotiation.Answer(Local, hello);
        Assert.AreEqual(HelloStatus.Ok, reply.Status);
        Assert.AreEqual(spoken, reply.Version.Minor);
        Assert.AreEqual(0b0110UL, reply.Features);
        Assert.IsNull(HelloNegotiation.Check(Local, reply));
    }

    [TestMethod, TestCategory("unit")]
    [DataRow(0u)]
    [DataRow(2u)]
    public void Answer_OtherMajor_RefusesAndSaysBothVersions(uint major)
    {
        var hello = HelloCodecTests.Good();
        hello.Version.Major = major;
        var reply = HelloNegotiation.Answer(Local, hello);
        Assert.AreEqual(HelloStatus.VersionMismatch, reply.Status);
        StringAssert.Contains(reply.Message, "1.3");
        StringAssert.Contains(reply.Message, $"{major}.0");
        StringAssert.Contains(reply.Message, "upgrade");
    }

    [TestMethod, TestCategory("unit")]
    public void Check_ListenerThatChoosesWhatWasNotOffered_IsFound()
    {
        Assert.IsNotNull(HelloNegotiation.Check(Local, new HelloReply { Version = new LinkVersion { Major = 2, Minor = 0 } }));
        Assert.IsNotNull(HelloNegotiation.Check(Local, new HelloReply { Version = new LinkVersion { Major = 1, Minor = 4 } }));
        Assert.IsNotNull(HelloNegotiation.Check(Local, new HelloReply { Version = new LinkVersion { Major = 1, Minor = 3 }, Features = 1 }));
    }

    [TestMethod, TestCategory("unit")]
    public void TryParseHello_OlderHelloWithoutNewerFields_IsTaken()
    {
        // What a minimal first version would have sent: version, session, service; no machine, software, name, features.
        var older = new Hello { Version = new LinkVersion { Major = 1 }, SessionId = ByteString.CopyFrom(LinkLab.Session), Service = "control" };
        Assert.IsTrue(HelloCodec.TryParseHello(older.ToByteArray(), out var hello, out var error), error);
        Assert.AreEqual(0u, HelloNegotiation.Answer(Local, hello).Version.Minor);
        Assert.AreEqual(0UL, HelloNegotiation.Answer(Local, hello).Features);
    }

    [TestMethod, TestCategory("unit")]
    public void TryParseHello_NewerHelloWithUnknownFields_IsTaken()
    {
        var good = HelloCodecTests.Good();
        good.Version.Minor = 9;

        // Field 100 as a varint, field 101 as bytes (protobuf encoding: number << 3 | wire type).
        byte[] newer = [.. good.ToByteArray(), 0xa0, 0x06, 0x2a, 0xaa, 0x06, 0x03, 1, 2, 3];
        Assert.IsTrue(HelloCodec.TryParseHello(newer, out var hello, out var error), error);
        Assert.AreEqual(3u, HelloNegotiation.Answer(Local, hello).Version.Minor);
        Assert.AreEqual("home", hello.Fs.Export);
    }
}
