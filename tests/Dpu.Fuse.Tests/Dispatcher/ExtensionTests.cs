using Dpu.Fuse.Tests.Support;
using Dpu.Fuse.Wire;
using Dpu.Linux;
using FsCheck;
using FsCheck.Fluent;

namespace Dpu.Fuse.Tests.Dispatcher;

[TestClass]
public sealed class ExtensionTests
{
    private readonly RecordingFileSystem _files = new();

    [TestMethod, TestCategory("unit")]
    public void Groups_OfRequest_ReachTheCaller()
    {
        using var harness = new DispatcherHarness(_files);
        Assert.AreEqual(0, harness.Send(new RequestBuilder(fuse_opcode.FUSE_MKDIR).Struct(default(fuse_mkdir_in)).Name("dir").Groups(5, 6, 7)).Error);
        Assert.AreEqual("MkDir 1 dir 0 0 by 1000:2000:3000 in 5,6,7", _files.Single);
    }

    [TestMethod, TestCategory("unit")]
    public void Groups_BesideOtherExtensions_AreFound()
    {
        using var harness = new DispatcherHarness(_files);
        RequestBuilder request = new RequestBuilder(fuse_opcode.FUSE_MKDIR).Struct(default(fuse_mkdir_in)).Name("dir").Extension(1, [1, 2, 3]).Groups(8).Extension(99, []);
        Assert.AreEqual(0, harness.Send(request).Error);
        Assert.AreEqual("MkDir 1 dir 0 0 by 1000:2000:3000 in 8", _files.Single);
    }

    [TestMethod, TestCategory("unit")]
    [DataRow(32, 0)]
    [DataRow(33, errno.EINVAL)]
    public void Groups_Number_IsBounded(int count, int error)
    {
        using var harness = new DispatcherHarness(_files);
        Assert.AreEqual(-error, harness.Send(new RequestBuilder(fuse_opcode.FUSE_UNLINK).Name("a").Groups([.. Enumerable.Range(1, count).Select(group => (uint)group)])).Error);
    }

    [TestMethod, TestCategory("unit")]
    public void Extensions_Malformed_AreInvalid()
    {
        using var harness = new DispatcherHarness(_files);
        uint groups = (uint)fuse_ext_type.FUSE_EXT_GROUPS;
        RequestBuilder[] requests =
        [
            new RequestBuilder(fuse_opcode.FUSE_UNLINK).Name("a").Groups(1).Groups(2),
            new RequestBuilder(fuse_opcode.FUSE_UNLINK).Name("a").Extension(groups, []),
            new RequestBuilder(fuse_opcode.FUSE_UNLINK).Name("a").Extension(groups, BitConverter.GetBytes(2u)),
            new RequestBuilder(fuse_opcode.FUSE_UNLINK).Name("a").Extension(groups, BitConverter.GetBytes(uint.MaxValue)),
        ];
        foreach (RequestBuilder request in requests)
        {
            Assert.AreEqual(-errno.EINVAL, harness.Send(request).Error);
        }

        byte[] tooMuch = new RequestBuilder(fuse_opcode.FUSE_UNLINK).Name("a").Build();
        tooMuch[36] = 1; // total_extlen: 8 bytes, where the whole body has 2.
        Assert.AreEqual(-errno.EINVAL, harness.Send(tooMuch).Error);
        Assert.IsEmpty(_files.Calls);
    }

    [TestMethod, TestCategory("unit")]
    public void TryReadGroups_OfAnyBytes_StaysInBounds() =>
        Prop.ForAll(ArbMap.Default.ArbFor<byte[]>(), bytes =>
        {
            Span<uint> groups = stackalloc uint[FuseLimits.MaxSupplementaryGroups];
            bool read = FuseExtensions.TryReadGroups(bytes, groups, out int count);
            return count >= 0 && count <= groups.Length && (count * 4 <= bytes.Length) && (read || !bytes.AsSpan().IsEmpty);
        }).QuickCheckThrowOnFailure();

    [TestMethod, TestCategory("unit")]
    public void TryReadGroups_OfBuiltLists_GivesThemBack() =>
        Prop.ForAll(ArbMap.Default.ArbFor<uint[]>(), list =>
        {
            list = [.. list.Take(FuseLimits.MaxSupplementaryGroups)];
            byte[] message = new RequestBuilder(fuse_opcode.FUSE_MKDIR).Groups(list).Build();
            Span<uint> groups = stackalloc uint[FuseLimits.MaxSupplementaryGroups];
            return FuseExtensions.TryReadGroups(message.AsSpan(40), groups, out int count) && groups[..count].SequenceEqual(list);
        }).QuickCheckThrowOnFailure();
}
