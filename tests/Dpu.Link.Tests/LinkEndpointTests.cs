using FsCheck;
using FsCheck.Fluent;

namespace Dpu.Link.Tests;

[TestClass]
public sealed class LinkEndpointTests
{
    [TestMethod, TestCategory("unit")]
    [DataRow("tcp://192.0.2.1:7443", LinkTransport.Tcp, "192.0.2.1", 7443u)]
    [DataRow("tcp://host-1.example:0", LinkTransport.Tcp, "host-1.example", 0u)]
    [DataRow("tcp://[2001:db8::1]:7443", LinkTransport.Tcp, "2001:db8::1", 7443u)]
    [DataRow("vsock://2:7443", LinkTransport.Vsock, "2", 7443u)]
    [DataRow("vsock://any:4294967294", LinkTransport.Vsock, "any", 4294967294u)]
    [DataRow("unix:///run/dpu/link.sock", LinkTransport.Unix, "/run/dpu/link.sock", 0u)]
    public void Parse_GoodText_GivesPartsAndRoundTrips(string text, LinkTransport transport, string host, uint port)
    {
        var endpoint = LinkEndpoint.Parse(text);
        Assert.AreEqual(transport, endpoint.Transport);
        Assert.AreEqual(host, endpoint.Host);
        Assert.AreEqual(port, endpoint.Port);
        Assert.AreEqual(text, endpoint.ToString());
        Assert.AreEqual(endpoint, LinkEndpoint.Parse(endpoint.ToString()));
    }

    [TestMethod, TestCategory("unit")]
    [DataRow("")]
    [DataRow("tcp://")]
    [DataRow("tcp://host")]
    [DataRow("tcp://host:65536")]
    [DataRow("tcp://host:-1")]
    [DataRow("tcp://host:07443")]
    [DataRow("tcp://:7443")]
    [DataRow("tcp://2001:db8::1:7443")]
    [DataRow("tcp://[192.0.2.1]:7443")]
    [DataRow("tcp://[::1]7443")]
    [DataRow("tcp://ho st:1")]
    [DataRow("tcp://user@host:1")]
    [DataRow("vsock://x:1")]
    [DataRow("vsock://4294967295:1")]
    [DataRow("vsock://2")]
    [DataRow("unix://run/dpu.sock")]
    [DataRow("unix:///")]
    [DataRow("unix:///run/")]
    [DataRow("unix:///a\0b")]
    [DataRow("http://host:1")]
    [DataRow("0.0.0.0:7443")]
    public void Parse_BadText_SaysWhatIsAllowed(string text)
    {
        Assert.IsFalse(LinkEndpoint.TryParse(text, out _));
        var e = Assert.ThrowsExactly<FormatException>(() => LinkEndpoint.Parse(text));
        StringAssert.Contains(e.Message, "allowed: tcp://host:port");
    }

    [TestMethod, TestCategory("unit")]
    public void Parse_UnixPathOf108Bytes_IsRefused()
    {
        Assert.IsTrue(LinkEndpoint.TryParse("unix:///" + new string('a', 106), out _));
        Assert.IsFalse(LinkEndpoint.TryParse("unix:///" + new string('a', 107), out _));
        Assert.IsFalse(LinkEndpoint.TryParse("unix:///" + new string('ä', 54), out _));
    }

    [TestMethod, TestCategory("unit")]
    public void TryParse_AnyText_NeverThrowsAndRoundTrips() =>
        Prop.ForAll(ArbMap.Default.ArbFor<string>(), Gen.Elements("", "tcp://", "vsock://", "unix:///", "tcp://[", "tcp://h:").ToArbitrary(), (text, scheme) =>
            !LinkEndpoint.TryParse(scheme + text, out var endpoint)
            || (endpoint.ToString() == scheme + text && LinkEndpoint.Parse(endpoint.ToString()) == endpoint)).QuickCheckThrowOnFailure();

    [TestMethod, TestCategory("unit")]
    public void Cid_OfAny_IsTheWildcard()
    {
        Assert.AreEqual(uint.MaxValue, LinkEndpoint.Parse("vsock://any:1").Cid);
        Assert.AreEqual(2u, LinkEndpoint.Vsock(2, 1).Cid);
        Assert.ThrowsExactly<InvalidOperationException>(() => LinkEndpoint.Parse("unix:///a").Cid);
    }
}
