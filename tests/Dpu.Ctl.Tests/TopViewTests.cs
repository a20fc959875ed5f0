using System.Globalization;
using Dpu.Ctl.Statistics;
using Dpu.Proto.V1;
using FsCheck;
using FsCheck.Fluent;

namespace Dpu.Ctl.Tests;

[TestClass]
public sealed class TopViewTests
{
    [TestMethod]
    [TestCategory("unit")]
    public void Lines_InAnyWindow_FitIt() => Prop.ForAll(
        Arb.From(Gen.Choose(1, 200)),
        Arb.From(Gen.Choose(1, 60)),
        Arb.From(Gen.Choose(0, 40)),
        (width, height, mounts) =>
        {
            IReadOnlyList<string> lines = Frame(mounts, width, height);
            return lines.Count <= height && lines.All(line => line.Length <= width);
        }).QuickCheckThrowOnFailure();

    [TestMethod]
    [TestCategory("unit")]
    public void Lines_InAWideWindow_HaveEveryColumnAndTheBusiestFirst()
    {
        IReadOnlyList<string> lines = Frame(3, 200, 20);
        CollectionAssert.AreEqual(
            new[] { "MOUNT", "SOURCE", "LINK", "REQ/S", "TO-HOST", "FROM-HOST", "ERR/S", "MEAN", "P99", "IN-FLIGHT" },
            lines[1].Split(' ', StringSplitOptions.RemoveEmptyEntries));
        Assert.StartsWith("/mnt/a/long/way/2", lines[2]);
        Assert.StartsWith("/mnt/a/long/way/0", lines[4]);
    }

    [TestMethod]
    [TestCategory("unit")]
    public void Lines_InANarrowWindow_KeepMountRateAndP99()
    {
        string[] headings = Frame(3, 40, 20)[1].Split(' ', StringSplitOptions.RemoveEmptyEntries);
        CollectionAssert.IsSubsetOf(new[] { "MOUNT", "REQ/S", "P99" }, headings);
        CollectionAssert.DoesNotContain(headings, "SOURCE");
    }

    [TestMethod]
    [TestCategory("unit")]
    public void Lines_MoreMountsThanRoom_SayHowManyMore() => Assert.AreEqual("… 7 more", Frame(10, 100, 6)[^1]);

    [TestMethod]
    [TestCategory("unit")]
    public void Lines_WithAProblem_TellItWithoutItsControlCharacters()
    {
        IReadOnlyList<string> lines = TopView.Lines([], DateTimeOffset.UnixEpoch, "gone\u001b[2J", 60, 10, withColor: false);
        Assert.AreEqual("gone\\x1b[2J", lines[1]);
    }

    [TestMethod]
    [TestCategory("unit")]
    public void Interval_AfterARemount_CountsFromItsBeginning()
    {
        MountSample first = Sample(1, 100), second = Sample(1, 7) with { Since = DateTimeOffset.UnixEpoch.AddSeconds(5), Taken = DateTimeOffset.UnixEpoch.AddSeconds(12) };
        MountInterval interval = MountInterval.Of(second, first);
        Assert.AreEqual((7ul, 7.0), (interval.Total.Requests, interval.Seconds));
    }

    private static IReadOnlyList<string> Frame(int mounts, int width, int height) => TopView.Lines(
        [.. Enumerable.Range(0, mounts).Select(i => MountInterval.Of(Sample(i, (ulong)(i + 1) * 100), null))],
        DateTimeOffset.UnixEpoch,
        null,
        width,
        height,
        withColor: false);

    private static MountSample Sample(int number, ulong requests) => MountSample.Of(new MountStats
    {
        Name = $"mounts/{number}/stats",
        Target = "/mnt/a/long/way/" + number.ToString(CultureInfo.InvariantCulture),
        Host = "host1",
        Export = "data",
        State = MountState.Mounted,
        HostState = LinkState.Up,
        MountTime = Google.Protobuf.WellKnownTypes.Timestamp.FromDateTimeOffset(DateTimeOffset.UnixEpoch),
        SampleTime = Google.Protobuf.WellKnownTypes.Timestamp.FromDateTimeOffset(DateTimeOffset.UnixEpoch.AddSeconds(10)),
        Operations = { new OperationStats { Operation = "FUSE_GETATTR", Requests = requests } },
    });
}
