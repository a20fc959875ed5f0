#pragma warning disable CS0649, CS0169, CA1823, IDE0051 // Fields that only a layout test reads.
using System.Runtime.InteropServices;

namespace Dpu.Linux.Tests.Layout;

/// <summary>The proof itself can fail: it names what is wrong, and only that.</summary>
[TestClass]
public sealed class LayoutProofTests
{
    [TestMethod, TestCategory("unit")]
    [DataRow("x64")]
    [DataRow("arm64")]
    public void Failures_OfWrongStruct_NameOffsetAndSize(string architecture)
    {
        string[] failed = Failed(typeof(WrongStruct), architecture);
        CollectionAssert.AreEquivalent(new[] { "tv_sec offset", "tv_nsec offset", "tv_nsec size" }, failed);
    }

    [TestMethod, TestCategory("unit")]
    public void Failures_OfRightStruct_AreNone() => Assert.IsEmpty(Failed(typeof(RightStruct), "x64"));

    [TestMethod, TestCategory("unit")]
    public void Failures_OfWrongConstants_NameEach() =>
        CollectionAssert.AreEquivalent(new[] { "EPERM value", "NO_SUCH_NAME value" }, Failed(typeof(WrongConstants), "arm64"));

    [TestMethod, TestCategory("unit")]
    public void Failures_OfOneArchitecturesConstants_AreFoundThere()
    {
        Assert.IsEmpty(Failed(typeof(X64Only), "x64"));
        Assert.IsEmpty(Failed(typeof(X64Only), "arm64"), "a claim about x64 alone was tried on arm64");
        CollectionAssert.AreEquivalent(new[] { "O_DIRECTORY value" }, Failed(typeof(WronglyPortable), "arm64"));
    }

    [TestMethod, TestCategory("unit")]
    [DataRow("x64")]
    [DataRow("arm64")]
    public void Failures_OfNewerConstants_AreFoundInNewerHeaders(string architecture) =>
        CollectionAssert.AreEquivalent(new[] { "FUSE_NOTIFY_RESEND value" }, Failed(typeof(WrongAndNew), architecture));

    [TestMethod, TestCategory("unit")]
    public void Failures_OfUnknownHeader_NameIt() =>
        Assert.IsTrue(LayoutProof.Failures(ClaimCollector.Of(typeof(NoHeader)), Compiler.X64).Any(text => text.Contains("no/such/header.h", StringComparison.Ordinal)));

    [TestMethod, TestCategory("unit")]
    public void KernelHeaders_NewerThanInstalled_FailByName() =>
        Assert.ThrowsExactly<AssertFailedException>(() => KernelHeaders.Newest(new Version(99, 0)));

    [TestMethod, TestCategory("unit")]
    public void UnprovedTypes_OfImportAndLayout_AreNamed()
    {
        string[] unproved = [.. UnprovedTypes.Of([typeof(Imports), typeof(Unproved), typeof(ExplicitlyLaidOut), typeof(RightStruct)])];
        Assert.HasCount(2, unproved, string.Join('\n', unproved));
        Assert.IsTrue(unproved.Any(text => text.Contains(nameof(Unproved), StringComparison.Ordinal)));
        Assert.IsTrue(unproved.Any(text => text.Contains(nameof(ExplicitlyLaidOut), StringComparison.Ordinal)));
    }

    /// <summary>What failed, without the type's name.</summary>
    private static string[] Failed(Type type, string architecture) =>
        [.. LayoutProof.Failures(ClaimCollector.Of(type), Compiler.All.Single(compiler => compiler.Architecture == architecture))
            .Select(text => text[(type.FullName!.Length + 1)..text.IndexOf(':', StringComparison.Ordinal)])];

    [CStruct("struct timespec", "time.h")]
    private struct RightStruct
    {
        public long tv_sec;
        public long tv_nsec;
    }

    [CStruct("struct timespec", "time.h")]
    private struct WrongStruct
    {
        public int tv_nsec;
        public long tv_sec;
    }

    [CConstants("errno.h")]
    private static class WrongConstants
    {
        public const int ENOENT = 2;
        public const int EPERM = 7;
        public const int NO_SUCH_NAME = 1;
    }

    [CConstants("fcntl.h", Architecture = "x64")]
    private static class X64Only
    {
        public const int O_DIRECTORY = 0x10000;
    }

    [CConstants("fcntl.h")]
    private static class WronglyPortable
    {
        public const int O_DIRECTORY = 0x10000;
    }

    [CConstants("linux/fuse.h")]
    private static class WrongAndNew
    {
        [CName(Since = "6.3")]
        public const ulong FUSE_CREATE_SUPP_GROUP = 1UL << 34;

        [CName(Since = "6.9")]
        public const int FUSE_NOTIFY_RESEND = 8;
    }

    [CConstants("no/such/header.h")]
    private static class NoHeader
    {
        public const int ANYTHING = 1;
    }

    private struct Unproved
    {
        public int Field;
    }

    [StructLayout(LayoutKind.Explicit)]
    private struct ExplicitlyLaidOut
    {
        [FieldOffset(0)]
        public int Field;
    }

    /// <summary>Never called: only its signature is read.</summary>
    private static class Imports
    {
#pragma warning disable RS0030, SYSLIB1054, CA2101, CA5392 // The banned DllImport stands here to be found.
        [DllImport("libc")]
        internal static extern unsafe int getpid(Unproved* first, ref RightStruct second, nint third);
#pragma warning restore RS0030, SYSLIB1054, CA2101, CA5392
    }
}
