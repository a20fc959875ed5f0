using System.Numerics;
using Dpu.Flows.Keys;

namespace Dpu.Flows.Classifier;

/// <summary>One thing that a look-up looked at.</summary>
/// <param name="Kind">"table" or "tree".</param>
/// <param name="Mask">The bits that it depends on: a table's mask, or the windows of a tree's nodes.</param>
/// <param name="Rules">Rules in it.</param>
/// <param name="Compared">Rules that were compared in full.</param>
/// <param name="Hit">The value of the rule that was found there and was the best until then; null for none.</param>
public readonly record struct LookupStep(string Kind, FlowMask Mask, int Rules, int Compared, uint? Hit);

/// <summary>Why a look-up gives what it gives, and on which bits that depends: megaflow masks.</summary>
public sealed unsafe partial class ClassifierReader
{
    private readonly List<uint> _candidates = [];

    /// <summary>Looks up without caches, and says on what the result depends.</summary>
    /// <param name="key">The packet.</param>
    /// <param name="mask">Every packet that agrees with this one under the mask has the same result, in this version.</param>
    /// <param name="steps">Receives what was looked at, in order; null for nothing.</param>
    /// <returns>The best rule's value, or <see cref="None"/>.</returns>
    public uint Explain(in FlowKey key, out FlowMask mask, ICollection<LookupStep>? steps = null)
    {
        uint version = _classifier.Readers.Enter(_slot, ref _classifier.PublishedVersion);
        ClassifierSnapshot snapshot = _classifier.Snapshot;
        _single[0] = key;
        uint found = Resolve(snapshot, version, _single.Pointer, out mask, steps);
        uint value = found == 0 ? None : _classifier.Rules.At(found)->Value;
        _classifier.Readers.Leave(_slot);
        return value;
    }

    // The same as the fast way, rule for rule; what is looked at is remembered. Allocates at most when the list grows.
    private uint Resolve(ClassifierSnapshot snapshot, uint version, FlowKey* key, out FlowMask mask, ICollection<LookupStep>? steps)
    {
        RuleStore rules = _classifier.Rules;
        mask = default;
        uint found = 0;
        ulong best = 0;
        List<uint> candidates = _candidates;
        candidates.Clear();
        foreach (CutTree tree in snapshot.Trees.Trees)
        {
            if (tree.MaxRank <= best)
            {
                continue;
            }

            int before = candidates.Count;
            FlowMask windows = tree.Candidates((ulong*)key, candidates);
            mask.Add(windows);
            Take(rules, version, key, candidates, before, ref best, ref found, out uint? hit);
            steps?.Add(new LookupStep("tree", windows, tree.Rules, candidates.Count - before, hit));
        }

        for (int t = 0; t < snapshot.Tables.Length && snapshot.MaxRanks[t] > best; t++)
        {
            TupleTable table = snapshot.Tables[t];
            int before = candidates.Count;
            table.Candidates((ulong*)key, candidates);
            mask.Add(table.FullMask);
            Take(rules, version, key, candidates, before, ref best, ref found, out uint? hit);
            steps?.Add(new LookupStep("table", table.FullMask, table.Count, candidates.Count - before, hit));
        }

        Depend(rules, version, key, candidates, best, found, ref mask);
        return found;
    }

    private static void Take(RuleStore rules, uint version, FlowKey* key, List<uint> candidates, int from, ref ulong best, ref uint found, out uint? hit)
    {
        hit = null;
        for (int i = from; i < candidates.Count; i++)
        {
            RuleRecord* rule = rules.At(candidates[i]);
            if (rule->Rank > best && RuleRecord.Matches(rule, rules.MaskOf(candidates[i]), (ulong*)key) && RuleRecord.IsVisible(rule, version))
            {
                (best, found, hit) = (rule->Rank, candidates[i], rule->Value);
            }
        }
    }

    // The result depends on all that the found rule compares, and on a bit of each better one that says why it does not match.
    private static void Depend(RuleStore rules, uint version, FlowKey* key, List<uint> candidates, ulong best, uint found, ref FlowMask mask)
    {
        if (found != 0)
        {
            MaskInfo* own = rules.MaskOf(found);
            mask.Add(own->ToMask());
            if (own->HasRange != 0)
            {
                (PortRange source, PortRange destination) = RuleRecord.UnpackRanges(RuleRecord.Words(rules.At(found))[own->Count]);
                mask.Bits.TpSrc |= source.DependencyMask(key->TpSrc);
                mask.Bits.TpDst |= destination.DependencyMask(key->TpDst);
            }
        }

        foreach (uint id in candidates)
        {
            RuleRecord* rule = rules.At(id);
            if (rule->Rank > best && RuleRecord.IsVisible(rule, version))
            {
                Distinguish(rule, rules.MaskOf(id), key, ref mask);
            }
        }
    }

    private static void Distinguish(RuleRecord* rule, MaskInfo* ruleMask, FlowKey* key, ref FlowMask mask)
    {
        ulong* words = RuleRecord.Words(rule);
        int word = -1;
        ulong bits = 0;
        for (int i = 0; i < ruleMask->Count; i++)
        {
            int index = ruleMask->Index[i];
            ulong difference = (((ulong*)key)[index] & ruleMask->Words[i]) ^ words[i];
            if ((difference & mask.Bits.Word(index)) != 0)
            {
                return;
            }

            if (difference != 0 && word < 0)
            {
                (word, bits) = (index, difference);
            }
        }

        if (word >= 0)
        {
            mask.Bits.SetWord(word, mask.Bits.Word(word) | (1ul << BitOperations.Log2(bits)));
            return;
        }

        // Only a range excludes the packet.
        (PortRange source, PortRange destination) = RuleRecord.UnpackRanges(words[ruleMask->Count]);
        if (!source.Contains(key->TpSrc))
        {
            mask.Bits.TpSrc |= source.DependencyMask(key->TpSrc);
        }
        else
        {
            mask.Bits.TpDst |= destination.DependencyMask(key->TpDst);
        }
    }
}
