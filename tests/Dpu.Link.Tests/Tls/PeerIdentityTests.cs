using System.Security.Cryptography.X509Certificates;
using FsCheck;
using FsCheck.Fluent;

namespace Dpu.Link.Tests.Tls;

[TestClass]
public sealed class PeerIdentityTests
{
    [TestMethod, TestCategory("unit")]
    [DataRow("a", true)]
    [DataRow("dpu-1.rack2", true)]
    [DataRow("", false)]
    [DataRow("-a", false)]
    [DataRow("a-", false)]
    [DataRow(".", false)]
    [DataRow("..", false)]
    [DataRow("A", false)]
    [DataRow("a/b", false)]
    [DataRow("a\0", false)]
    [DataRow("ä", false)]
    public void IsName_Text_IsJudged(string name, bool good) => Assert.AreEqual(good, PeerIdentity.IsName(name));

    [TestMethod, TestCategory("unit")]
    public void IsName_63And64Characters_AreTheLimit()
    {
        Assert.IsTrue(PeerIdentity.IsName(new string('a', 63)));
        Assert.IsFalse(PeerIdentity.IsName(new string('a', 64)));
    }

    [TestMethod, TestCategory("unit")]
    [DataRow("dpu://dpu/dpu1", true)]
    [DataRow("dpu://host/h", true)]
    [DataRow("dpu://operator/alice", true)]
    [DataRow("dpu://root/x", false)]
    [DataRow("dpu://dpu/", false)]
    [DataRow("dpu://dpu/a/b", false)]
    [DataRow("DPU://dpu/a", false)]
    [DataRow("udp://dpu/a", false)]
    [DataRow(null, false)]
    public void TryParse_Uri_RoundTripsOrFails(string? uri, bool good)
    {
        Assert.AreEqual(good, PeerIdentity.TryParse(uri, out var identity));
        Assert.AreEqual(good ? uri : null, identity?.ToString());
    }

    [TestMethod, TestCategory("unit")]
    public void OfExtension_TwoNames_IsNobody()
    {
        static PeerIdentity? Of(params string[] uris)
        {
            var names = new SubjectAlternativeNameBuilder();
            names.AddDnsName("x");
            foreach (var uri in uris)
            {
                names.AddUri(new Uri(uri));
            }

            return PeerIdentity.OfExtension(names.Build().RawData);
        }

        Assert.AreEqual(new PeerIdentity(LinkRole.Dpu, "a"), Of("dpu://dpu/a"));
        Assert.AreEqual(new PeerIdentity(LinkRole.Dpu, "a"), Of("http://www.example.org", "dpu://dpu/a"));
        Assert.IsNull(Of("dpu://dpu/a", "dpu://dpu/b"));
        Assert.IsNull(Of("dpu://dpu/a", "dpu://host/a"));
        Assert.IsNull(Of("http://www.example.org"));
        Assert.IsNull(Of());
    }

    [TestMethod, TestCategory("unit")]
    public void OfExtension_AnyBytes_NeverThrows() => Prop.ForAll<byte[]>(bytes =>
        PeerIdentity.OfExtension(bytes) is null).QuickCheckThrowOnFailure();

    [TestMethod, TestCategory("unit")]
    public void OfExtension_MutatedNames_NeverThrow() => Prop.ForAll<int, byte>((position, value) =>
    {
        var names = new SubjectAlternativeNameBuilder();
        names.AddUri(new Uri("dpu://dpu/dpu1"));
        names.AddDnsName("dpu1");
        var bytes = names.Build().RawData;
        bytes[(int)((uint)position % bytes.Length)] = value;
        return PeerIdentity.OfExtension(bytes) is null or { Name.Length: > 0 };
    }).QuickCheckThrowOnFailure();
}
