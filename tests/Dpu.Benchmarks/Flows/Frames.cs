using System.Buffers.Binary;
using System.Diagnostics;
using Dpu.Flows.Classifier;
using Dpu.Flows.Keys;
using Dpu.Flows.Packets;

namespace Dpu.Benchmarks.Flows;

/// <summary>Packets as bytes: 64 each, Ethernet, IPv4, TCP or UDP.</summary>
internal static class Frames
{
    /// <summary>Writes the frame that has this key.</summary>
    public static void Write(in FlowKey key, Span<byte> frame)
    {
        frame.Clear();
        frame[0] = frame[6] = 2;
        BinaryPrimitives.WriteUInt16BigEndian(frame[12..], 0x0800);
        frame[14] = 0x45;
        BinaryPrimitives.WriteUInt16BigEndian(frame[16..], 50);
        frame[22] = 64;
        frame[23] = key.IpProto;
        BinaryPrimitives.WriteUInt32BigEndian(frame[26..], key.IpSrc.Word0);
        BinaryPrimitives.WriteUInt32BigEndian(frame[30..], key.IpDst.Word0);
        BinaryPrimitives.WriteUInt16BigEndian(frame[34..], key.TpSrc);
        BinaryPrimitives.WriteUInt16BigEndian(frame[36..], key.TpDst);
        frame[46] = 0x50;
    }

    /// <summary>Numbers below <paramref name="distinct"/>, the n-th of a random order with a share of n to the minus exponent.</summary>
    public static int[] Zipf(int distinct, int count, double exponent, int seed)
    {
        Random random = new(seed);
        double[] sums = new double[distinct];
        double sum = 0;
        for (int i = 0; i < distinct; i++)
        {
            sums[i] = sum += Math.Pow(i + 1, -exponent);
        }

        int[] order = [.. Enumerable.Range(0, distinct)];
        random.Shuffle(order);
        int[] trace = new int[count];
        for (int i = 0; i < count; i++)
        {
            int place = Array.BinarySearch(sums, random.NextDouble() * sum);
            trace[i] = order[Math.Min(distinct - 1, place < 0 ? ~place : place)];
        }

        return trace;
    }

    /// <summary>Millions of packets a second, from bytes to values, in batches of 32.</summary>
    public static double Classify(ClassifierReader reader, byte[] packets, int[] order)
    {
        KeyBuffer keys = new(ClassifierReader.MaxBatch);
        uint[] values = new uint[ClassifierReader.MaxBatch];
        long start = Stopwatch.GetTimestamp();
        long done = 0;
        do
        {
            for (int first = 0; first + ClassifierReader.MaxBatch <= order.Length; first += ClassifierReader.MaxBatch)
            {
                for (int i = 0; i < ClassifierReader.MaxBatch; i++)
                {
                    _ = PacketParser.Parse(packets.AsSpan(order[first + i] * 64, 64), 1, decapsulate: true, out keys[i]);
                }

                reader.Lookup(keys, ClassifierReader.MaxBatch, values);
                done += ClassifierReader.MaxBatch;
            }
        }
        while (Stopwatch.GetElapsedTime(start).TotalSeconds < 0.5);
        return done / Stopwatch.GetElapsedTime(start).TotalSeconds / 1e6;
    }
}
