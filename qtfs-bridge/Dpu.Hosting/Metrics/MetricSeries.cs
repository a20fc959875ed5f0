namespace Dpu.Hosting.Metrics;

/// <summary>The values of one instrument under one set of labels. Thread-safe.</summary>
internal sealed class MetricSeries
{
    private readonly double[] _bounds;
    private readonly long[] _counts;
    private double _sum;
    private long _count;

    /// <param name="labels">As written between braces; empty for none.</param>
    /// <param name="bounds">Upper bounds of a histogram's buckets; empty for other kinds.</param>
    public MetricSeries(string labels, double[] bounds)
    {
        Labels = labels;
        _bounds = bounds;
        _counts = new long[bounds.Length];
    }

    public string Labels { get; }

    /// <summary>Set when a scrape saw the series; observable ones that vanish are not reported any more.</summary>
    public long Scrape { get; set; }

    public void Add(double value)
    {
        lock (_counts)
        {
            _sum += value;
        }
    }

    public void Set(double value, long scrape)
    {
        lock (_counts)
        {
            _sum = value;
            Scrape = scrape;
        }
    }

    public void Record(double value)
    {
        lock (_counts)
        {
            _sum += value;
            _count++;
            for (int i = 0; i < _bounds.Length; i++)
            {
                if (value <= _bounds[i])
                {
                    _counts[i]++;
                    break;
                }
            }
        }
    }

    public (double Sum, long Count, long[] Buckets) Read()
    {
        lock (_counts)
        {
            return (_sum, _count, (long[])_counts.Clone());
        }
    }
}
