using System.Text;
using Dpu.Keeper;
using Dpu.Qtfs.Mount.Handover;
using Dpu.Qtfs.Mount.Held;
using FsCheck;
using FsCheck.Fluent;

namespace Dpu.Qtfs.Tests.Mount.Held;

[TestClass]
public sealed class HeldNodesTests
{
    private const ulong Identity = 1UL << 63;

    // Names of both kinds of room, in two directories.
    private static readonly (ulong Parent, byte[] Name)[] s_places =
        [.. from parent in new ulong[] { 1, 2 } from name in new[] { "a", "b", new string('n', 46), new string('n', 47), new string('x', 255) } select (parent, Encoding.UTF8.GetBytes(name))];

    [TestMethod]
    [TestCategory("unit")]
    public void Nodes_AnyOrderOfLookUpsRenamesAndForgets_AreAsTheModel() =>
        Prop.ForAll<(byte What, byte Node, byte From, byte To)[]>(steps =>
        {
            using var state = new KeptState(new Keeping(null, ""), "test");
            var nodes = new HeldNodes(state);
            Dictionary<ulong, (ulong Lookups, int Place)> model = [];
            foreach ((byte what, byte node, byte from, byte to) in steps)
            {
                // Some share an index, of different generations.
                ulong id = ((ulong)(node % 3) << 32) | (uint)(2 + (node % 5));
                (int source, int target) = (from % s_places.Length, to % s_places.Length);
                switch (what % 4)
                {
                    case 0 or 1:
                        foreach (ulong older in model.Keys.Where(other => (uint)other == (uint)id && other != id).ToArray())
                        {
                            model.Remove(older);
                        }

                        model[id] = (model.GetValueOrDefault(id).Lookups + 1, source);
                        nodes.Add(id, Identity, s_places[source].Parent, s_places[source].Name, 7, 8);
                        break;
                    case 2:
                        Forget(model, id, from % 3U);
                        nodes.Forget(id, from % 3U);
                        break;
                    default:
                        // Where two were found by one name, the kernel means the last one; the model has no order.
                        if (model.Values.Count(each => each.Place == source) <= 1 && model.Values.Count(each => each.Place == target) <= 1)
                        {
                            nodes.Rename(s_places[source].Parent, s_places[source].Name, s_places[target].Parent, s_places[target].Name, (node & 1) != 0);
                            Rename(model, source, target, (node & 1) != 0);
                        }

                        break;
                }
            }

            return nodes.Indices().Select(index => nodes.At(index).Id).Order().SequenceEqual(model.Keys.Order())
                && model.All(each => Is(nodes, each.Key, each.Value.Lookups, each.Value.Place));
        }).QuickCheckThrowOnFailure();

    [TestMethod]
    [TestCategory("unit")]
    public void Nodes_BeyondTheMost_AreNotRemembered()
    {
        using var state = new KeptState(new Keeping(null, ""), "test");
        var nodes = new HeldNodes(state);
        nodes.Add(HeldNodes.MostIndex - 1, Identity, 1, "last"u8, 0, 0);
        nodes.Add(HeldNodes.MostIndex, Identity, 1, "beyond"u8, 0, 0);
        nodes.Add(2, identity: 5, 1, "not told by the host"u8, 0, 0);
        CollectionAssert.AreEqual(new[] { HeldNodes.MostIndex - 1 }, nodes.Indices().ToArray());
        Assert.IsFalse(nodes.Contains(HeldNodes.MostIndex));
    }

    private static void Forget(Dictionary<ulong, (ulong Lookups, int Place)> model, ulong id, ulong count)
    {
        if (model.TryGetValue(id, out (ulong Lookups, int Place) had))
        {
            model[id] = (had.Lookups - Math.Min(had.Lookups, count), had.Place);
            if (model[id].Lookups == 0)
            {
                model.Remove(id);
            }
        }
    }

    private static void Rename(Dictionary<ulong, (ulong Lookups, int Place)> model, int source, int target, bool exchange)
    {
        ulong moved = model.FirstOrDefault(each => each.Value.Place == source).Key;
        ulong other = model.FirstOrDefault(each => each.Value.Place == target).Key;
        if (source == target)
        {
            return;
        }

        if (other != 0)
        {
            model[other] = (model[other].Lookups, exchange ? source : -1);
        }

        if (moved != 0)
        {
            model[moved] = (model[moved].Lookups, target);
        }
    }

    private static bool Is(HeldNodes nodes, ulong id, ulong lookups, int place)
    {
        int index = HeldNodes.IndexOf(id);
        ref HeldNode node = ref nodes.At(index);
        return node.Lookups == lookups && (place < 0
            ? node.Parent == 0
            : node.Parent == s_places[place].Parent && nodes.NameOf(node, index).SequenceEqual(s_places[place].Name) && (node.Uid, node.Gid) == (7, 8));
    }
}
