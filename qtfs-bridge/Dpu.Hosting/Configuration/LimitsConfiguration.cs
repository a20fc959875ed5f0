using System.Text.Json;

namespace Dpu.Hosting.Configuration;

/// <summary>What one peer may use, so that none can starve another. Immutable; 0 means no limit for the rates.</summary>
/// <param name="Connections">Connections at once.</param>
/// <param name="RequestsPerSecond">Requests a second; 0 for no limit.</param>
/// <param name="BytesPerSecond">Bytes a second in both directions together; 0 for no limit.</param>
/// <param name="OpenNodes">Files and directories that the peer's kernel may hold references to.</param>
/// <param name="OpenHandles">Open files and directories.</param>
/// <param name="LockOwners">Owners of record locks: pairs of a process and a file.</param>
/// <param name="LockRanges">Ranges that they lock.</param>
/// <param name="LockWaits">Requests that wait for a lock.</param>
/// <param name="Sessions">Sessions at once; a session is one runtime's life.</param>
/// <param name="Mounts">Mounts at once.</param>
public sealed record LimitsConfiguration(
    int Connections,
    long RequestsPerSecond,
    long BytesPerSecond,
    int OpenNodes,
    int OpenHandles,
    int LockOwners,
    int LockRanges,
    int LockWaits,
    int Sessions,
    int Mounts)
{
    /// <summary>The limits where the file says nothing.</summary>
    public static LimitsConfiguration Default { get; } = new(256, 0, 0, 1_000_000, 10_000, 2000, 100_000, 256, 4, 64);

    internal static LimitsConfiguration Read(ObjectReader? reader, LimitsConfiguration otherwise)
    {
        if (reader is null)
        {
            return otherwise;
        }

        var limits = new LimitsConfiguration(
            (int)reader.Integer("connections", otherwise.Connections, 1, 65_536),
            reader.Integer("requestsPerSecond", otherwise.RequestsPerSecond, 0, 1_000_000_000),
            reader.Integer("bytesPerSecond", otherwise.BytesPerSecond, 0, 1_000_000_000_000),
            (int)reader.Integer("openNodes", otherwise.OpenNodes, 16, 100_000_000),
            (int)reader.Integer("openHandles", otherwise.OpenHandles, 16, 10_000_000),
            (int)reader.Integer("lockOwners", otherwise.LockOwners, 1, 1_000_000),
            (int)reader.Integer("lockRanges", otherwise.LockRanges, 2, 100_000_000),
            (int)reader.Integer("lockWaits", otherwise.LockWaits, 1, 4096),
            (int)reader.Integer("sessions", otherwise.Sessions, 1, 4096),
            (int)reader.Integer("mounts", otherwise.Mounts, 1, 65_536));
        reader.End();
        return limits;
    }

    internal void WriteTo(Utf8JsonWriter writer)
    {
        writer.WriteStartObject("limits");
        writer.WriteNumber("connections", Connections);
        writer.WriteNumber("requestsPerSecond", RequestsPerSecond);
        writer.WriteNumber("bytesPerSecond", BytesPerSecond);
        writer.WriteNumber("openNodes", OpenNodes);
        writer.WriteNumber("openHandles", OpenHandles);
        writer.WriteNumber("lockOwners", LockOwners);
        writer.WriteNumber("lockRanges", LockRanges);
        writer.WriteNumber("lockWaits", LockWaits);
        writer.WriteNumber("sessions", Sessions);
        writer.WriteNumber("mounts", Mounts);
        writer.WriteEndObject();
    }
}
