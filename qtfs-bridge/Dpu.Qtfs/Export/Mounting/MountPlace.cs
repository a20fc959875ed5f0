using Dpu.Linux;
using Dpu.Proto.V1;
using Microsoft.Win32.SafeHandles;

namespace Dpu.Qtfs.Export.Mounting;

/// <summary>A file of an export that a call names, found and held.</summary>
/// <param name="Mount">The peer's mount that it lies in.</param>
/// <param name="Path">Where in the export, without a slash before it; empty is the export itself.</param>
/// <param name="File">It, O_PATH.</param>
internal sealed record MountPlace(ExportedMount Mount, byte[] Path, SafeFileHandle File) : IDisposable
{
    /// <summary>Where it is on this machine.</summary>
    public byte[] Place => KernelMounter.PlaceOf(File);

    /// <summary>For logs.</summary>
    public string Text => System.Text.Encoding.UTF8.GetString(Path);

    /// <summary>Finds one, by a node that the peer has looked up.</summary>
    /// <param name="mount">The mount.</param>
    /// <param name="file">The node.</param>
    /// <param name="place">It.</param>
    /// <returns>0 or a negated errno. For a thread that is the daemon itself.</returns>
    public static int Find(ExportedMount mount, HostFile file, out MountPlace? place)
    {
        byte[] path = new byte[limits.PATH_MAX];
        int found = mount.Files.OpenPlace(file.Node, path, out int length);
        place = found < 0 ? null : new MountPlace(mount, path[..length], new SafeFileHandle(found, ownsHandle: true));
        return Math.Min(found, 0);
    }

    /// <summary>The directory that it is in, and its name there; as it is now.</summary>
    /// <param name="directory">The directory, O_PATH.</param>
    /// <param name="name">The name.</param>
    /// <returns>0 or a negated errno; <c>-EINVAL</c> of the export itself.</returns>
    public int FindParent(out SafeFileHandle? directory, out byte[] name)
    {
        directory = null;
        int slash = Array.LastIndexOf(Path, (byte)'/');
        name = Path[(slash + 1)..];
        int found = Path.Length == 0 ? -errno.EINVAL : Mount.Files.OpenDirectory(Path.AsSpan(0, Math.Max(0, slash)));
        directory = found < 0 ? null : new SafeFileHandle(found, ownsHandle: true);
        return Math.Min(found, 0);
    }

    /// <inheritdoc/>
    public void Dispose() => File.Dispose();
}
