namespace Dpu.TestSupport.Traffic;

/// <summary>
/// Families of traffic that ageing policies are judged by. They were written down, and committed, before the policy that they
/// judge: who changes one has to show all results anew. Each is two minutes of traffic, the same for the same seed.
/// </summary>
public static class TraceFamilies
{
    /// <summary>Entries of the table that the families are meant for: some fit it, some are several times as large.</summary>
    public const int TableSize = 4096;

    private const double Seconds = 120;

    /// <summary>All families.</summary>
    public static IReadOnlyList<PacketTrace> All(int seed) =>
        [Zipf(seed), Churn(seed), Scan(seed), Bursty(seed), Periodic(seed), Elephants(seed), Shifting(seed), Waves(seed)];

    /// <summary>A stable population of 30,000 flows, few of them popular (Zipf 1.1).</summary>
    public static PacketTrace Zipf(int seed)
    {
        Builder trace = new("zipf", seed);
        trace.Popular(flows: 30_000, exponent: 1.1, rate: 4000, from: 0, to: Seconds);
        return trace.Build();
    }

    /// <summary>Connections come and go: 400 new ones a second that live for some seconds, beside 3,000 that stay.</summary>
    public static PacketTrace Churn(int seed)
    {
        Builder trace = new("churn", seed);
        trace.Popular(3_000, 1.0, 1500, 0, Seconds);
        for (double time = 0; time < Seconds; time += trace.Exponential(1.0 / 400))
        {
            trace.Train(trace.NewFlow(), time, trace.Exponential(3), packets: 2 + trace.Next(16));
        }

        return trace.Build();
    }

    /// <summary>A scanner sends 1,500 packets a second, each of a flow of its own, for half of the time, beside 8,000 flows of work.</summary>
    public static PacketTrace Scan(int seed)
    {
        Builder trace = new("scan", seed);
        trace.Popular(8_000, 1.0, 3000, 0, Seconds);
        foreach ((double from, double to) in ((double, double)[])[(20, 50), (75, 105)])
        {
            for (double time = from; time < to; time += trace.Exponential(1.0 / 1500))
            {
                trace.Add(time, trace.NewFlow());
            }
        }

        return trace.Build();
    }

    /// <summary>6,000 flows that send a burst in half a second and are then silent for 2 to 60 s, most of them for a short time.</summary>
    public static PacketTrace Bursty(int seed)
    {
        Builder trace = new("bursty", seed);
        for (int i = 0; i < 6_000; i++)
        {
            int flow = trace.NewFlow();
            for (double time = trace.Uniform(0, 20); time < Seconds; time += Math.Min(60, 2 * Math.Pow(trace.Uniform(1e-6, 1), -1 / 1.2)))
            {
                trace.Train(flow, time, 0.5, 3 + trace.Next(12));
                time += 0.5;
            }
        }

        return trace.Build();
    }

    /// <summary>4,000 flows that send one to three packets each 8 to 30 s, as keep-alives and polls do, beside 1,000 busy ones.</summary>
    public static PacketTrace Periodic(int seed)
    {
        Builder trace = new("periodic", seed);
        trace.Popular(1_000, 0.9, 1500, 0, Seconds);
        for (int i = 0; i < 4_000; i++)
        {
            int flow = trace.NewFlow();
            double period = trace.Uniform(8, 30);
            for (double time = trace.Uniform(0, period); time < Seconds; time += period * trace.Uniform(0.95, 1.05))
            {
                trace.Train(flow, time, 0.05, 1 + trace.Next(3));
            }
        }

        return trace.Build();
    }

    /// <summary>Elephants and mice: 300 flows of 5 to 15 packets a second, and 600 new flows a second of one to six packets.</summary>
    public static PacketTrace Elephants(int seed)
    {
        Builder trace = new("elephants", seed);
        for (int i = 0; i < 300; i++)
        {
            int flow = trace.NewFlow();
            double from = trace.Uniform(0, 60), to = from + trace.Uniform(20, 60);
            trace.Train(flow, from, to - from, (int)((to - from) * trace.Uniform(5, 15)));
        }

        for (double time = 0; time < Seconds; time += trace.Exponential(1.0 / 600))
        {
            trace.Train(trace.NewFlow(), time, trace.Uniform(0.01, 2), 1 + trace.Next(6));
        }

        return trace.Build();
    }

    /// <summary>What is popular changes each 20 s: 12,000 flows, Zipf 1.0, other ones at the top each time.</summary>
    public static PacketTrace Shifting(int seed)
    {
        Builder trace = new("shifting", seed);
        for (int phase = 0; phase < 6; phase++)
        {
            trace.Popular(12_000, 1.0, 3500, phase * 20, (phase + 1) * 20, firstFlow: 0);
        }

        return trace.Build();
    }

    /// <summary>Each 12 s the same 7,000 flows come one after the other within 8 s, six packets each: more than the table holds, in a circle.</summary>
    public static PacketTrace Waves(int seed)
    {
        Builder trace = new("waves", seed);
        int first = trace.NewFlows(7_000);
        for (double wave = 0; wave < Seconds; wave += 12)
        {
            for (int i = 0; i < 7_000; i++)
            {
                trace.Train(first + i, wave + (8 * i / 7_000.0), 0.3, 6);
            }
        }

        return trace.Build();
    }

    private sealed class Builder(string name, int seed)
    {
        private readonly Random _random = new(seed);
        private readonly List<TracePacket> _packets = [];
        private int _flows;

        public int NewFlow() => _flows++;

        public int NewFlows(int count) => (_flows += count) - count;

        public int Next(int below) => _random.Next(below);

        public double Uniform(double from, double to) => from + (_random.NextDouble() * (to - from));

        public double Exponential(double mean) => -Math.Log(1 - _random.NextDouble()) * mean;

        public void Add(double time, int flow)
        {
            if (time < Seconds)
            {
                _packets.Add(new TracePacket(TimeSpan.FromMicroseconds(Math.Round(time * 1e6)), flow));
            }
        }

        // Packets at random within a time.
        public void Train(int flow, double from, double duration, int packets)
        {
            for (int i = 0; i < packets; i++)
            {
                Add(from + (i == 0 ? 0 : Uniform(0, duration)), flow);
            }
        }

        // Flows of which the n-th of a random order has a share of n to the minus exponent.
        public void Popular(int flows, double exponent, double rate, double from, double to, int firstFlow = -1)
        {
            int first = firstFlow < 0 ? NewFlows(flows) : firstFlow;
            _flows = Math.Max(_flows, first + flows);
            int[] order = [.. Enumerable.Range(first, flows)];
            _random.Shuffle(order);
            double[] sums = new double[flows];
            double sum = 0;
            for (int i = 0; i < flows; i++)
            {
                sums[i] = sum += Math.Pow(i + 1, -exponent);
            }

            for (double time = from; time < to; time += Exponential(1 / rate))
            {
                int place = Array.BinarySearch(sums, Uniform(0, sum));
                Add(time, order[Math.Min(flows - 1, place < 0 ? ~place : place)]);
            }
        }

        public PacketTrace Build()
        {
            _packets.Sort((a, b) => a.Time != b.Time ? a.Time.CompareTo(b.Time) : a.Flow.CompareTo(b.Flow));
            return new PacketTrace(name, _packets);
        }
    }
}
