using Dpu.Reconciler.TrafficControl;
using Dpu.TestSupport;

namespace Dpu.Reconciler.Tests.TrafficControl;

/// <summary>Changes of filters are heard of as they happen.</summary>
[TestClass]
public sealed class TcWatchTests
{
    private const string Filter = "protocol all pref 16 u32 match u32 0 0 flowid 1:1";
    private static readonly TimeSpan _limit = TimeSpan.FromSeconds(10);

    [TestMethod, TestCategory("root")]
    public void Changes_OfThePlaceAndOfItsInterface_AreHeardOf_AndThoseOfOthersNot()
    {
        Requires.Root();
        using NetworkNamespace space = new();
        Link(space, "add v0 type veth peer name v1");
        using Counter here = new(space, "v0"), there = new(space, "v1"), block = new(space, "block:7");
        here.Hears(() => Tc(space, "qdisc add dev v0 ingress_block 7 clsact"), "the place of filters came");
        block.Hears(() => Tc(space, $"filter add block 7 {Filter}"), "a filter of the block came");
        Tc(space, "qdisc del dev v0 clsact");
        Tc(space, "qdisc add dev v0 clsact");
        here.Hears(() => Tc(space, $"filter add dev v0 ingress {Filter}"), "a filter came");
        here.Hears(() => Tc(space, "filter del dev v0 ingress"), "it went");

        // Another interface's are told to who listens there, and to nobody else.
        int before = here.Told;
        there.Hears(() => Tc(space, "qdisc add dev v1 clsact"), "the other place came");
        there.Hears(() => Tc(space, $"filter add dev v1 ingress {Filter}"), "a filter of the other one came");
        Assert.AreEqual(before, here.Told);

        // The interface goes, and another one has its name: from then on that one is meant.
        here.Hears(() => Link(space, "del v0"), "the interface went");
        here.Hears(() => Link(space, "add v0 type veth peer name v1"), "one of that name came");
        here.Hears(() => Tc(space, "qdisc add dev v0 clsact"), "the new interface's place of filters came");
        here.Hears(() => Link(space, "set v0 name v2"), "the name went");
        before = here.Told;
        there.Hears(() => Tc(space, "qdisc add dev v1 clsact"), "still heard of");
        Tc(space, $"filter add dev v2 ingress {Filter}");
        Assert.AreEqual(before, here.Told, "v2 is another place");
    }

    private static void Tc(NetworkNamespace space, string command) => _ = space.Run(["tc", .. command.Split(' ')]);

    private static void Link(NetworkNamespace space, string command) => _ = space.Run(["ip", "link", .. command.Split(' ')]);

    private sealed class Counter : IDisposable
    {
        private readonly TcWatch _watch;
        private int _told;

        internal Counter(NetworkNamespace space, string place)
        {
            Assert.IsTrue(TcPlace.TryParse(place, out TcPlace? parsed));
            _watch = space.In(() => new TcWatch(parsed!, () => Interlocked.Increment(ref _told)));
        }

        internal int Told => Volatile.Read(ref _told);

        internal void Hears(Action change, string what)
        {
            int before = Told;
            change();
            Eventually.True(() => Told > before, _limit, what);
        }

        public void Dispose() => _watch.Dispose();
    }
}
