using Dpu.Flows.Classifier;
using Dpu.Flows.Keys;

namespace Dpu.Benchmarks.Flows;

/// <summary>A rule of ClassBench's five fields; the earlier of two that match wins.</summary>
internal readonly record struct ClassicRule(uint Source, int SourceLength, uint Destination, int DestinationLength, PortRange SourcePorts, PortRange DestinationPorts, byte Protocol, byte ProtocolMask)
{
    public FlowMatch ToMatch()
    {
        FlowMatch match = FlowMatch.Any;
        (match.Key.EthType, match.Mask.Bits.EthType) = (0x0800, ushort.MaxValue);
        (match.Key.IpSrc, match.Mask.Bits.IpSrc) = (new Address128(Source), Address128.Prefix(SourceLength));
        (match.Key.IpDst, match.Mask.Bits.IpDst) = (new Address128(Destination), Address128.Prefix(DestinationLength));
        (match.Key.IpProto, match.Mask.Bits.IpProto) = (Protocol, ProtocolMask);
        (match.TpSrc, match.TpDst) = (SourcePorts, DestinationPorts);
        return match.Canonical();
    }
}

/// <summary>
/// Rule sets in ClassBench's manner (Taylor and Turner, 2005): prefixes nested in pools of networks, few port classes, skewed
/// protocols. The shares of each family follow the seeds that ClassBench publishes, roughly; they are ours, not its own.
/// </summary>
internal sealed class RuleGenerator(string family, int seed)
{
    private static readonly ushort[] Services = [20, 21, 22, 23, 25, 53, 67, 80, 110, 119, 123, 135, 139, 143, 161, 389, 443, 445, 514, 636, 993, 995, 1433, 1521, 1723, 3306, 3389, 5060, 5432, 5900, 6000, 8080, 8443];
    private readonly Random random = new(seed);
    private readonly List<uint> sources = [];
    private readonly List<uint> destinations = [];

    /// <summary>Different rules, best first.</summary>
    public ClassicRule[] Make(int count)
    {
        // Networks of which rules' prefixes are parts.
        for (int i = 0; i < Math.Max(16, count / 40); i++)
        {
            sources.Add((uint)random.NextInt64(1L << 32));
            destinations.Add((uint)random.NextInt64(1L << 32));
        }

        HashSet<ClassicRule> rules = [];
        while (rules.Count < count)
        {
            rules.Add(family switch
            {
                // Servers behind an access list: specific destinations, services, few source ports.
                "acl" => Rule(sourceWild: 0.35, destinationWild: 0.02, shortPrefix: 0.15, sourcePort: 0.02, destinationPort: 0.8, ranges: 0.12),

                // A firewall: much is wild on one side, ranges of ports on both.
                "fw" => Rule(sourceWild: 0.45, destinationWild: 0.25, shortPrefix: 0.2, sourcePort: 0.3, destinationPort: 0.75, ranges: 0.35),

                // Linux chains: everything, of all lengths.
                "ipc" => Rule(sourceWild: 0.15, destinationWild: 0.12, shortPrefix: 0.35, sourcePort: 0.2, destinationPort: 0.55, ranges: 0.15),
                _ => throw new ArgumentException($"there is no family '{family}'", nameof(family)),
            });
        }

        // The specific ones first, as people write them; else most would never be hit.
        return [.. rules.OrderByDescending(rule => rule.SourceLength + rule.DestinationLength + (rule.DestinationPorts.IsAny ? 0 : 16) + (rule.SourcePorts.IsAny ? 0 : 16)).ThenBy(_ => random.Next())];
    }

    /// <summary>A header that the rule matches.</summary>
    public static FlowKey HeaderOf(in ClassicRule rule, Random random) => new()
    {
        EthType = 0x0800,
        IpProto = rule.ProtocolMask == 0 ? (byte)(random.Next(2) == 0 ? 6 : 17) : rule.Protocol,
        IpSrc = new Address128(rule.Source | ((uint)random.NextInt64(1L << 32) & ~Prefix(rule.SourceLength))),
        IpDst = new Address128(rule.Destination | ((uint)random.NextInt64(1L << 32) & ~Prefix(rule.DestinationLength))),
        TpSrc = (ushort)random.Next(rule.SourcePorts.Low, rule.SourcePorts.High + 1),
        TpDst = (ushort)random.Next(rule.DestinationPorts.Low, rule.DestinationPorts.High + 1),
    };

    private ClassicRule Rule(double sourceWild, double destinationWild, double shortPrefix, double sourcePort, double destinationPort, double ranges)
    {
        int sourceLength = Length(sourceWild, shortPrefix), destinationLength = Length(destinationWild, shortPrefix);
        byte protocol = random.NextDouble() switch { < 0.62 => 6, < 0.86 => 17, < 0.92 => 1, _ => 0 };
        bool hasPorts = protocol is 6 or 17;
        return new ClassicRule(
            Address(sources) & Prefix(sourceLength), sourceLength, Address(destinations) & Prefix(destinationLength), destinationLength,
            hasPorts && random.NextDouble() < sourcePort ? Ports(ranges) : PortRange.Any, hasPorts && random.NextDouble() < destinationPort ? Ports(ranges) : PortRange.Any,
            protocol, protocol == 0 ? (byte)0 : (byte)0xff);
    }

    private int Length(double wild, double shortPrefix) =>
        random.NextDouble() < wild ? 0 : random.NextDouble() < shortPrefix ? random.Next(8, 24) : random.NextDouble() < 0.55 ? 32 : random.Next(24, 32);

    // A network, or a host in it: 12 bits beyond its first 20.
    private uint Address(List<uint> networks) => (networks[random.Next(networks.Count)] & 0xfffff000) | (uint)random.Next(4096);

    private PortRange Ports(double ranges)
    {
        if (random.NextDouble() >= ranges)
        {
            ushort port = random.Next(3) > 0 ? Services[random.Next(Services.Length)] : (ushort)random.Next(1, 65536);
            return new PortRange(port, port);
        }

        if (random.Next(2) == 0)
        {
            return new PortRange(1024, 65535);
        }

        int low = random.Next(1, 60000);
        return new PortRange((ushort)low, (ushort)Math.Min(65535, low + random.Next(1, 2000)));
    }

    private static uint Prefix(int length) => length == 0 ? 0 : uint.MaxValue << (32 - length);
}
