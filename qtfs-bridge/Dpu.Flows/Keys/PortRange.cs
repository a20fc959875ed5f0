namespace Dpu.Flows.Keys;

/// <summary>Ports from <paramref name="Low"/> to <paramref name="High"/>, both included, in host order.</summary>
/// <param name="Low">The first port.</param>
/// <param name="High">The last port.</param>
public readonly record struct PortRange(ushort Low, ushort High)
{
    /// <summary>Every port.</summary>
    public static PortRange Any => new(0, ushort.MaxValue);

    /// <summary>Whether it excludes no port.</summary>
    public bool IsAny => Low == 0 && High == ushort.MaxValue;

    /// <summary>Whether the port lies in it.</summary>
    public bool Contains(ushort port) => port >= Low && port <= High;

    /// <summary>Whether no port lies in it.</summary>
    public bool IsEmpty => Low > High;

    /// <summary>
    /// Whether a value and a mask say the same: a block of 2^n ports at a multiple of 2^n.
    /// </summary>
    public bool TryToMask(out ushort value, out ushort mask)
    {
        int size = High - Low + 1;
        value = Low;
        mask = (ushort)~(size - 1);
        return size > 0 && (size & (size - 1)) == 0 && (Low & (size - 1)) == 0;
    }

    /// <summary>
    /// The shortest mask under which every port that agrees with <paramref name="port"/> lies on the same side of the range
    /// as it (in it, or out of it): what a flow depends on once the range was compared.
    /// </summary>
    public ushort DependencyMask(ushort port)
    {
        bool inside = Contains(port);
        for (int bits = 16; bits > 0; bits--)
        {
            int low = port & ~((1 << bits) - 1);
            int high = low | ((1 << bits) - 1);
            bool holds = inside ? low >= Low && high <= High : high < Low || low > High;
            if (holds)
            {
                return (ushort)~((1 << bits) - 1);
            }
        }

        return ushort.MaxValue;
    }
}
