using Dpu.Fuse.Wire;
using FsCheck;
using FsCheck.Fluent;

namespace Dpu.Qtfs.Tests;

[TestClass]
public sealed class InvalidationTests
{
    [TestMethod]
    [TestCategory("unit")]
    public void TryRead_WhatWasWritten_IsTheSame()
    {
        foreach (Invalidation told in (Invalidation[])[Invalidation.Everything, Invalidation.Attributes(7), Invalidation.Content(1UL << 40), Invalidation.Entry(3, "näme"u8)])
        {
            byte[] message = new byte[Invalidation.MaxSize];
            int size = told.Write(message, number: 1UL << 33);
            Assert.AreEqual(told.Size, size);
            Assert.IsTrue(Invalidation.TryRead(message.AsSpan(0, size), out Invalidation read, out ulong number));
            Assert.AreEqual(1UL << 33, number);
            Assert.AreEqual((told.Code, told.Node, told.Offset), (read.Code, read.Node, read.Offset));
            byte[] again = new byte[Invalidation.MaxSize];
            CollectionAssert.AreEqual(message, read.Write(again, number: number) == size ? again : []);
        }
    }

    [TestMethod]
    [TestCategory("unit")]
    [DataRow(0, DisplayName = "an empty name")]
    [DataRow(256, DisplayName = "a name beyond 255 bytes")]
    public void TryRead_NameOfALengthThatNoneHas_IsRefused(int length)
    {
        byte[] message = new byte[Invalidation.MaxSize + 16];
        int size = Invalidation.Entry(3, Enumerable.Repeat((byte)'x', length).ToArray()).Write(message);
        Assert.IsFalse(Invalidation.TryRead(message.AsSpan(0, size), out _, out _));
    }

    [TestMethod]
    [TestCategory("unit")]
    public void TryRead_NameWithASlash_IsRefused()
    {
        byte[] message = new byte[Invalidation.MaxSize];
        int size = Invalidation.Entry(3, "a/b"u8).Write(message);
        Assert.IsFalse(Invalidation.TryRead(message.AsSpan(0, size), out _, out _));
    }

    [TestMethod]
    [TestCategory("unit")]
    public void TryRead_AnyChangeOfAMessage_IsRefusedOrWellFormed() =>
        Prop.ForAll(Gen.Choose(0, 200).ToArbitrary(), Gen.Choose(0, 255).ToArbitrary(), Gen.Choose(0, 60).ToArbitrary(), (at, value, length) =>
        {
            byte[] message = new byte[Invalidation.MaxSize];
            int size = Invalidation.Entry(3, "a name"u8).Write(message);
            message[at % size] = (byte)value;
            return !Invalidation.TryRead(message.AsSpan(0, Math.Min(size, length)), out Invalidation read, out _)
                || (read.Size <= Invalidation.MaxSize && read.Code is Invalidation.EpochCode or (int)fuse_notify_code.FUSE_NOTIFY_INVAL_ENTRY or (int)fuse_notify_code.FUSE_NOTIFY_INVAL_INODE);
        }).QuickCheckThrowOnFailure();
}
