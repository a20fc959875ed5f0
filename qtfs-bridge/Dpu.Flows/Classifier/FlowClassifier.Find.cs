using Dpu.Flows.Keys;

namespace Dpu.Flows.Classifier;

/// <summary>Finding a rule by what it is, not by what it matches.</summary>
public sealed unsafe partial class FlowClassifier
{
    private readonly List<uint> _found = [];

    /// <summary>The rule of exactly this canonical match and priority, staged ones included, removed ones not; 0 for none.</summary>
    public uint Find(in FlowMatch match, ushort priority)
    {
        lock (_writer)
        {
            // The rule's own values are a packet that it matches, so whatever finds packets finds it.
            FlowKey packet = match.Key;
            packet.TpSrc |= match.TpSrc.IsAny ? (ushort)0 : match.TpSrc.Low;
            packet.TpDst |= match.TpDst.IsAny ? (ushort)0 : match.TpDst.Low;
            _found.Clear();
            foreach (CutTree tree in _trees.Trees)
            {
                _ = tree.Candidates((ulong*)&packet, _found);
            }

            foreach (TupleTable table in _tables)
            {
                if (table.FullMask.IsSubsetOf(match.Mask))
                {
                    table.Candidates((ulong*)&packet, _found);
                }
            }

            foreach (uint id in _found)
            {
                RuleRecord* rule = _rules.At(id);
                if (rule->Home != RuleRecord.Dead && rule->Removed == 0 && RuleRecord.PriorityOf(rule->Rank) == priority && _rules.MatchOf(id) == match)
                {
                    return id;
                }
            }

            return 0;
        }
    }

    /// <summary>What look-ups give for a rule.</summary>
    public uint ValueOf(uint id) => _rules.At(id)->Value;
}
