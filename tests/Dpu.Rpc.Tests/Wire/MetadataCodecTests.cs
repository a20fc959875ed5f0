using Dpu.Rpc.Wire;
using FsCheck;
using FsCheck.Fluent;
using Grpc.Core;

namespace Dpu.Rpc.Tests.Wire;

[TestClass]
public sealed class MetadataCodecTests
{
    [TestMethod]
    [TestCategory("unit")]
    public void Encode_AnyBytes_ComesBackPaddedAndUnpadded() =>
        Prop.ForAll<byte[]>(bytes =>
        {
            string header = MetadataCodec.Encode(new Metadata.Entry("x-bin", bytes));
            return !header.Contains('=', StringComparison.Ordinal)
                && MetadataCodec.TryDecodeBase64(header, out byte[] unpadded) && unpadded.AsSpan().SequenceEqual(bytes)
                && MetadataCodec.TryDecodeBase64(Convert.ToBase64String(bytes), out byte[] padded) && padded.AsSpan().SequenceEqual(bytes);
        }).QuickCheckThrowOnFailure();

    [TestMethod]
    [TestCategory("unit")]
    public void TryAdd_AnyNameAndValue_DoesNotThrow() =>
        Prop.ForAll<string, string, bool>((name, value, binary) =>
        {
            var metadata = new Metadata();
            string key = (name ?? "") + (binary ? "-bin" : "");
            bool taken = MetadataCodec.TryAdd(metadata, key, value ?? "");

            // Only what claims to be base64 can be malformed.
            return taken || key.EndsWith("-bin", StringComparison.OrdinalIgnoreCase);
        }).QuickCheckThrowOnFailure();

    [TestMethod]
    [TestCategory("unit")]
    public void TryAdd_JoinedBinaryValues_AreSplit()
    {
        var metadata = new Metadata();
        Assert.IsTrue(MetadataCodec.TryAdd(metadata, "X-Key-Bin", "AQI=, Aw,"));
        Assert.HasCount(3, metadata);
        Assert.AreEqual("x-key-bin", metadata[0].Key);
        CollectionAssert.AreEqual(new byte[] { 1, 2 }, metadata[0].ValueBytes);
        CollectionAssert.AreEqual(new byte[] { 3 }, metadata[1].ValueBytes);
        CollectionAssert.AreEqual(Array.Empty<byte>(), metadata[2].ValueBytes);
    }

    [TestMethod]
    [TestCategory("unit")]
    [DataRow("!")]
    [DataRow("A")]
    [DataRow("AQI==")]
    [DataRow("AQ=I")]
    [DataRow("A Q I")]
    [DataRow("AQI=,A")]
    public void TryAdd_NoBase64_IsRefused(string value) => Assert.IsFalse(MetadataCodec.TryAdd([], "x-bin", value));

    [TestMethod]
    [TestCategory("unit")]
    [DataRow("grpc-status")]
    [DataRow("GRPC-Timeout")]
    [DataRow("content-type")]
    [DataRow("te")]
    [DataRow(":path")]
    [DataRow("content-length")]
    public void TryAdd_ReservedName_IsSkipped(string name)
    {
        var metadata = new Metadata();
        Assert.IsTrue(MetadataCodec.TryAdd(metadata, name, "1"));
        Assert.IsEmpty(metadata);
    }

    [TestMethod]
    [TestCategory("unit")]
    public void TryAdd_StatusDetails_AreMetadata()
    {
        var metadata = new Metadata();
        Assert.IsTrue(MetadataCodec.TryAdd(metadata, "grpc-status-details-bin", "AQI"));
        Assert.HasCount(1, metadata);
    }

    [TestMethod]
    [TestCategory("unit")]
    public void Entry_UnsendableValue_IsRefused()
    {
        Assert.ThrowsExactly<ArgumentException>(() => new Metadata.Entry("key", "a\r\nb"));
        Assert.ThrowsExactly<ArgumentException>(() => new Metadata.Entry("key", "\u00e4"));
        Assert.ThrowsExactly<ArgumentException>(() => new Metadata.Entry("k ey", "a"));
        Assert.ThrowsExactly<ArgumentException>(() => new Metadata.Entry("key-bin", "a"));
        Assert.ThrowsExactly<ArgumentException>(() => new Metadata.Entry("key", [1]));
    }

    [TestMethod]
    [TestCategory("unit")]
    public void Empty_Add_Throws() => Assert.ThrowsExactly<InvalidOperationException>(() => Metadata.Empty.Add("a", "b"));

    [TestMethod]
    [TestCategory("unit")]
    public void Get_SeveralOfAKey_GivesTheLast()
    {
        Metadata metadata = [new("a", "1"), new("b", "2"), new("A", "3")];
        Assert.AreEqual("3", metadata.GetValue("a"));
        CollectionAssert.AreEqual(new[] { "1", "3" }, metadata.GetAll("A").Select(entry => entry.Value).ToArray());
        Assert.IsNull(metadata.GetValue("c"));
    }
}
