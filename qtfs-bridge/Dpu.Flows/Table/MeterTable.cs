using System.Collections.Concurrent;

namespace Dpu.Flows.Table;

/// <summary>A meter: so many packets or bytes a second, and a burst.</summary>
/// <param name="Rate">Packets or bytes a second; above 0.</param>
/// <param name="Burst">Packets or bytes that may come at once; above 0.</param>
/// <param name="InBytes">Whether bytes count; else packets.</param>
public readonly record struct MeterBand(long Rate, long Burst, bool InBytes);

/// <summary>Meters by number. Any thread.</summary>
public sealed class MeterTable(TimeProvider time)
{
    /// <summary>Meters at once.</summary>
    public const int Max = 65536;

    private readonly ConcurrentDictionary<uint, Meter> _meters = new();

    /// <summary>Makes a meter, or gives it another rate; its bucket is then full.</summary>
    public void Set(uint number, MeterBand band)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(band.Rate);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(band.Burst);
        if (_meters.Count >= Max && !_meters.ContainsKey(number))
        {
            throw new InvalidOperationException($"there are {Max} meters already; delete some");
        }

        _meters[number] = new Meter(band, time);
    }

    /// <summary>Removes a meter; flows that name it pass freely, as a missing meter limits nothing.</summary>
    public bool Delete(uint number) => _meters.TryRemove(number, out _);

    /// <summary>Whether a packet may pass.</summary>
    public bool Pass(uint number, int bytes) => !_meters.TryGetValue(number, out Meter? meter) || meter.Pass(bytes);

    // A bucket as the time at which it was or will be full (the generic cell rate algorithm): one number, changed by compare
    // and exchange, so that threads need no lock.
    private sealed class Meter(MeterBand band, TimeProvider time)
    {
        private readonly long _start = time.GetTimestamp();
        private readonly double _ticksPerUnit = TimeSpan.TicksPerSecond / (double)band.Rate;
        private long _full;

        internal bool Pass(int bytes)
        {
            long now = time.GetElapsedTime(_start).Ticks;
            double units = band.InBytes ? bytes : 1;
            long cost = (long)(units * _ticksPerUnit);
            long depth = (long)(band.Burst * _ticksPerUnit);
            while (true)
            {
                long full = Volatile.Read(ref _full);
                long next = Math.Max(full, now) + cost;
                if (next - now > depth)
                {
                    return false;
                }

                if (Interlocked.CompareExchange(ref _full, next, full) == full)
                {
                    return true;
                }
            }
        }
    }
}
