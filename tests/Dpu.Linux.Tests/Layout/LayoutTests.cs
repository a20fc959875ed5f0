using System.Reflection;
using Dpu.Fuse.Wire;
using Dpu.Keeper;

namespace Dpu.Linux.Tests.Layout;

/// <summary>Every struct size, field and constant that we declare is the C one, on x86-64 and arm64.</summary>
[TestClass]
public sealed class LayoutTests
{
    private static readonly Assembly[] Assemblies = [typeof(errno).Assembly, typeof(fuse_attr).Assembly, typeof(KeeperClient).Assembly];

    [TestMethod, TestCategory("unit")]
    [DataRow("x64")]
    [DataRow("arm64")]
    public void Declarations_ComparedWithCHeaders_AllHold(string architecture)
    {
        Claim[] claims = [.. Assemblies.SelectMany(ClaimCollector.Of)];
        Assert.IsGreaterThan(500, claims.Length, "the collector found hardly anything to prove");
        IReadOnlyList<string> failures = LayoutProof.Failures(claims, Compiler.All.Single(compiler => compiler.Architecture == architecture));
        Assert.IsEmpty(failures, string.Join('\n', failures));
    }

    [TestMethod, TestCategory("unit")]
    public void NativeTypes_WithoutClaim_DoNotExist()
    {
        string[] unproved = [.. Assemblies.SelectMany(UnprovedTypes.Of)];
        Assert.IsEmpty(unproved, string.Join('\n', unproved));
    }

    [TestMethod, TestCategory("unit")]
    public void WireStructs_WithoutClaim_DoNotExist()
    {
        string[] unproved = [.. typeof(fuse_attr).Assembly.GetTypes()
            .Where(type => type.Namespace == typeof(fuse_attr).Namespace && type is { IsValueType: true, IsNested: false }
                && !type.IsDefined(typeof(CStructAttribute)) && !type.IsDefined(typeof(CConstantsAttribute)))
            .Select(type => type.FullName!)];
        Assert.IsEmpty(unproved, string.Join('\n', unproved));
    }
}
