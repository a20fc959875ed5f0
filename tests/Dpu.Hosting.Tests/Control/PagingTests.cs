using Dpu.Hosting.Control;
using FsCheck;
using FsCheck.Fluent;
using Grpc.Core;

namespace Dpu.Hosting.Tests.Control;

[TestClass]
public sealed class PagingTests
{
    [TestMethod]
    [TestCategory("unit")]
    [DataRow(0, 100)]
    [DataRow(7, 7)]
    [DataRow(1000, 1000)]
    [DataRow(int.MaxValue, 1000)]
    public void Page_Size_IsTheDefaultOrBounded(int asked, int expected)
    {
        int[] all = [.. Enumerable.Range(0, 3000)];
        Assert.AreEqual(expected, Paging.Page(all, asked, "", out string next).Count());
        Assert.AreNotEqual("", next);
    }

    [TestMethod]
    [TestCategory("unit")]
    public void Page_FollowedToTheEnd_GivesEachOnce() =>
        Prop.ForAll(Gen.Choose(0, 500).ToArbitrary(), Gen.Choose(1, 60).ToArbitrary(), (count, size) =>
        {
            int[] all = [.. Enumerable.Range(0, count)];
            List<int> seen = [];
            string token = "";
            do
            {
                seen.AddRange(Paging.Page(all, size, token, out token));
            }
            while (token.Length > 0);
            return seen.SequenceEqual(all);
        }).QuickCheckThrowOnFailure();

    [TestMethod]
    [TestCategory("unit")]
    [DataRow(-1, "")]
    [DataRow(1, "x")]
    [DataRow(1, "-5")]
    [DataRow(1, "0")]
    [DataRow(1, "99999999999999999999")]
    public void Page_WhatTheServerNeverGave_IsInvalidArgument(int size, string token) =>
        Assert.AreEqual(StatusCode.InvalidArgument, Assert.ThrowsExactly<RpcException>(() => Paging.Page([1, 2, 3], size, token, out _)).StatusCode);
}
