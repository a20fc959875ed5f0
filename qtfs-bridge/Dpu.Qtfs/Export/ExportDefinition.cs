using Dpu.Fuse;
using Dpu.Qtfs.Export.Fifos;
using Dpu.Qtfs.Export.Mounting;

namespace Dpu.Qtfs.Export;

/// <summary>A directory of this host that policy gives to some peers. Immutable: a reload makes new ones.</summary>
public sealed record ExportDefinition
{
    /// <summary>The name peers use; unique on this host.</summary>
    public required string Name { get; init; }

    /// <summary>The directory, an absolute path of this host.</summary>
    public required string Path { get; init; }

    /// <summary>Names of the peers that may mount it, as in their certificates. Nobody else can tell that it exists.</summary>
    public required IReadOnlySet<string> Peers { get; init; }

    /// <summary>Whether every change is refused with EROFS.</summary>
    public bool ReadOnly { get; init; } = true;

    /// <summary>As whom the peer's users act.</summary>
    public required IdentityPolicy Identity { get; init; }

    /// <summary>Whether the peer may make device nodes.</summary>
    public bool AllowDeviceNodes { get; init; }

    /// <summary>Whether peers may cache what they read, to be told of changes; false where the host's writers cannot be noticed.</summary>
    public bool Cacheable { get; init; } = true;

    /// <summary>Files that peers may not cache all the same.</summary>
    public StrictPaths Strict { get; init; } = StrictPaths.None;

    /// <summary>Sockets that the peers may connect to; none by default.</summary>
    public StrictPaths Connectable { get; init; } = StrictPaths.None;

    /// <summary>Sockets that the peers may bind; none by default.</summary>
    public StrictPaths Bindable { get; init; } = StrictPaths.None;

    /// <summary>FIFOs whose bytes may cross; none by default.</summary>
    public FifoRules Fifos { get; init; } = FifoRules.None;

    /// <summary>What the peers' programs may mount below it; nothing by default.</summary>
    public MountRules Mounts { get; init; } = MountRules.None;

    /// <summary>Names of tap and tun interfaces of the host that the peers' programs may have by passing one of the same name; none by default.</summary>
    public StrictPaths Interfaces { get; init; } = StrictPaths.None;

    /// <summary>Those of them that are made where they are not there.</summary>
    public StrictPaths MadeInterfaces { get; init; } = StrictPaths.None;

    /// <summary>Whether it is the host's procfs, into which a peer may put its own processes.</summary>
    public bool Processes { get; init; }

    /// <summary>
    /// All but the peers as a short text, by which a later life of the agent knows whether the export is still the same. What is added to this
    /// type is added here where it differs from the default, so that an upgrade changes nothing.
    /// </summary>
    public string Fingerprint() => Convert.ToHexStringLower(System.Security.Cryptography.SHA256.HashData(System.Text.Encoding.UTF8.GetBytes(string.Join(
        '\n',
        Name,
        Path,
        ReadOnly,
        Identity.Squash,
        Identity.AnonymousUid,
        Identity.AnonymousGid,
        Identity.Users,
        Identity.Groups,
        AllowDeviceNodes,
        Cacheable,
        Strict,
        Connectable.IsEmpty && Bindable.IsEmpty ? Processes : $"{Processes}\n{Connectable}{(Bindable.IsEmpty ? "" : "\nbind\n")}{Bindable}",
        Fifos.IsEmpty ? "" : $"fifos\n{Fifos}",
        Interfaces.IsEmpty ? "" : $"interfaces\n{Interfaces}\nmade\n{MadeInterfaces}",
        Mounts.IsEmpty ? "" : $"mounts\n{Mounts}").TrimEnd('\n'))));

    /// <summary>Whether a peer that asks for <paramref name="reference"/> means this export: by its name or its path.</summary>
    public bool Matches(string reference) =>
        reference == Name || reference == Path || (reference.Length > 1 && reference.TrimEnd('/') == Path);
}
