namespace Dpu.Architecture.Tests;

/// <summary>
/// The floors of the house, lowest first: an assembly may reference assemblies of LOWER floors only, neither of its own
/// nor of a higher one. This is the one place where they are written down; ARCHITECTURE.md describes them in words.
/// </summary>
internal sealed class Floors
{
    /// <summary>The floors as designed. Dpu.Proto stands on Dpu.Rpc: generated stubs need the Grpc.Core types.</summary>
    public static readonly Floors Designed = new(
        ["Dpu.Linux", "Dpu.Rpc"],
        ["Dpu.Proto", "Dpu.Fuse", "Dpu.Flows", "Dpu.Systemd", "Dpu.Keeper"],
        ["Dpu.Link", "Dpu.Virtio", "Dpu.Reconciler"],
        ["Dpu.Relay", "Dpu.Qtfs", "Dpu.Hosting"],
        ["Dpu.HostAgent", "Dpu.Runtime", "Dpu.Ctl"]);

    private readonly Dictionary<string, int> floors = [];

    public Floors(params string[][] lowestFirst)
    {
        for (int floor = 0; floor < lowestFirst.Length; floor++)
        {
            foreach (string assembly in lowestFirst[floor])
            {
                floors.Add(assembly, floor);
            }
        }
    }

    public IEnumerable<string> Assemblies => floors.Keys;

    /// <summary>One sentence a wrong reference, and one a product project that stands on no floor.</summary>
    public IEnumerable<string> Violations(IEnumerable<Reference> references)
    {
        foreach (Reference reference in references)
        {
            if (!floors.TryGetValue(reference.From, out int from))
            {
                yield return $"{reference.From} stands on no floor: add it to {nameof(Floors)}.{nameof(Designed)}.";
            }
            else if (!floors.TryGetValue(reference.To, out int to))
            {
                yield return $"{reference.From} references {reference.To}, which is no part of the product ({reference.Source}).";
            }
            else if (to >= from)
            {
                string direction = to == from ? "sideways" : "upwards";
                yield return $"{reference.From} (floor {from}) references {reference.To} (floor {to}) {direction} ({reference.Source}).";
            }
        }
    }
}

/// <summary>One reference between two assemblies of this repository.</summary>
/// <param name="From">The project that refers.</param>
/// <param name="To">The project referred to.</param>
/// <param name="Source">The file that says so.</param>
internal sealed record Reference(string From, string To, string Source);
