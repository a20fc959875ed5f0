using System.Text.Json;
using System.Text.Json.Serialization;
using Dpu.Keeper;

namespace Dpu.Qtfs.Mount.Handover;

/// <summary>What a mount is, as it lies with the keeper beside its descriptors and memory.</summary>
/// <param name="Layout">See <see cref="KeptState.LayoutVersion"/>.</param>
/// <param name="Options">What was asked for.</param>
/// <param name="Configured">Whether the configuration named it.</param>
/// <param name="Started">When it was made.</param>
/// <param name="Id">The mount's id, which the host knows.</param>
/// <param name="Place">The path of its mount point, as the kernel has it.</param>
/// <param name="Connection">The number of its FUSE connection.</param>
/// <param name="HostReadOnly">Whether the host refuses changes.</param>
/// <param name="MoreLanes">Lanes beside the configured ones that the host allows.</param>
/// <param name="Init">The kernel's FUSE_INIT.</param>
/// <param name="Agreed">What was agreed on: a fuse_init_out.</param>
internal sealed record MountDescription(
    int Layout,
    RemoteMountOptions Options,
    bool Configured,
    DateTimeOffset Started,
    ulong Id,
    byte[] Place,
    long Connection,
    bool HostReadOnly,
    int MoreLanes,
    byte[] Init,
    byte[] Agreed)
{
    /// <summary>As a note; null where it is too long for one.</summary>
    public byte[]? ToNote()
    {
        byte[] note = JsonSerializer.SerializeToUtf8Bytes(this, MountDescriptionJson.Default.MountDescription);
        return note.Length <= KeeperClient.MostNote ? note : null;
    }

    /// <summary>Reads a note; null where it is none that this runtime understands.</summary>
    /// <param name="note">The note.</param>
    /// <param name="problem">Why not.</param>
    public static MountDescription? Read(ReadOnlySpan<byte> note, out string problem)
    {
        problem = "";
        try
        {
            using JsonDocument document = JsonDocument.Parse(note.ToArray());
            int layout = document.RootElement.GetProperty(nameof(Layout)).GetInt32();
            if (layout == KeptState.LayoutVersion)
            {
                return document.Deserialize(MountDescriptionJson.Default.MountDescription);
            }

            problem = $"its memory has layout {layout}, this runtime knows {KeptState.LayoutVersion}";
        }
        catch (Exception e) when (e is JsonException or KeyNotFoundException or InvalidOperationException)
        {
            problem = $"its description is none: {e.Message}";
        }

        return null;
    }
}

[JsonSerializable(typeof(MountDescription))]
internal sealed partial class MountDescriptionJson : JsonSerializerContext;
