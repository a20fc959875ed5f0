using System.Globalization;
using Dpu.Linux;
using Dpu.Proto.V1;
using Dpu.Qtfs.Export.Fifos;
using Dpu.Qtfs.Fifos;
using Dpu.Qtfs.Mount.Fifos;

namespace Dpu.Qtfs.Tests.Mount.Fifos;

/// <summary>What /proc says of who opens a FIFO, and what policy says of it.</summary>
[TestClass]
public sealed class FifoOpenerTests
{
    [TestMethod]
    [TestCategory("unit")]
    public void ParseFlags_OfCallsThatOpen_AreTheirs_AndOfOthersNone()
    {
        string openAt = SystemCallNumber.OpenAt.ToString(CultureInfo.InvariantCulture);
        Assert.AreEqual(0x80801, FifoOpener.ParseFlags($"{openAt} 0xffffff9c 0x7ff02a8dfef0 0x80801 0x0 0x0 0x7ff02b54e6e8 0x7ff02a856990 0x7ff02af16090\n", out ulong how));
        Assert.AreEqual(0uL, how);
        Assert.AreEqual(0, FifoOpener.ParseFlags("437 0xffffff9c 0x7ff02a8dfef0 0x7ffe10 0x18 0x0 0x0 0x7ff02a856990 0x7ff02af16090\n", out how));
        Assert.AreEqual(0x7ffe10uL, how);
        foreach (string other in (string[])["running\n", "", "-1 0x7ffc 0x7ff0\n", $"{openAt} 0xffffff9c 0x7ff0 flags 0x0\n", "999 0x1 0x2 0x3 0x4 0x5 0x6 0x7 0x8\n", $"{openAt} 0x1"])
        {
            Assert.AreEqual(-1, FifoOpener.ParseFlags(other, out _), other);
        }
    }

    [TestMethod]
    [TestCategory("unit")]
    public void IsPlace_OfPathsToTheDescriptor_Only()
    {
        var place = new FifoHolder(77, 12, fcntl.O_PATH);
        Assert.IsTrue(FifoOpener.IsPlace("/proc/self/fd/12\0junk"u8, place));
        Assert.IsTrue(FifoOpener.IsPlace("/proc/77/fd/12\0"u8, place));
        Assert.IsFalse(FifoOpener.IsPlace("/proc/self/fd/1\0"u8, place));
        Assert.IsFalse(FifoOpener.IsPlace("/proc/self/fd/112\0"u8, place));
        Assert.IsFalse(FifoOpener.IsPlace("fd/12\0"u8, place));
        Assert.IsFalse(FifoOpener.IsPlace("/proc/self/fd/12"u8, place));
        Assert.IsFalse(FifoOpener.IsPlace([], place));
    }

    [TestMethod]
    [TestCategory("unit")]
    [DataRow("pos:\t0\nflags:\t02004001\nmnt_id:\t23\n", fcntl.O_WRONLY)]
    [DataRow("pos:\t0\nflags:\t02000002\n", fcntl.O_RDWR)]
    [DataRow("flags:\t012000000\n", fcntl.O_PATH)]
    [DataRow("pos:\t0\n", -1)]
    [DataRow("flags:\t09\n", -1)]
    public void ParseAccess_OfADescriptorsInformation_IsHowItIsOpen(string information, int access) => Assert.AreEqual(access, FifoHolder.ParseAccess(information));

    [TestMethod]
    [TestCategory("unit")]
    public void FifoRules_TheFirstThatMatchesCounts()
    {
        FifoRules rules = new([("containerd/**/*-stdin", FifoDirection.ToHost), ("containerd/**", FifoDirection.ToDpu), ("log", FifoDirection.Unspecified)]);
        Assert.IsTrue(rules.Match("containerd/fifo/1/a-stdin", out FifoDirection direction) && direction == FifoDirection.ToHost);
        Assert.IsTrue(rules.Match("containerd/fifo/1/a-stdout", out direction) && direction == FifoDirection.ToDpu);
        Assert.IsTrue(rules.Match("x/log", out direction) && direction == FifoDirection.Unspecified);
        Assert.IsFalse(rules.Match("x/other", out _));
        Assert.IsFalse(FifoRules.None.Match("log", out _));
        Assert.AreEqual(rules, new FifoRules([("containerd/**/*-stdin", FifoDirection.ToHost), ("containerd/**", FifoDirection.ToDpu), ("log", FifoDirection.Unspecified)]));
    }
}
