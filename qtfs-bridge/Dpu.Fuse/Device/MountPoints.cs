using System.Text;

namespace Dpu.Fuse;

/// <summary>Where things are mounted, as the calling thread sees it.</summary>
public static class MountPoints
{
    /// <summary>What is mounted strictly below a directory, in the order of mounting; asks no file system.</summary>
    /// <param name="directory">An absolute path without symbolic links.</param>
    public static IReadOnlyList<string> Below(string directory)
    {
        byte[] prefix = Encoding.UTF8.GetBytes(directory.EndsWith('/') ? directory : directory + '/');
        return [.. MountTable.All().Where(entry => entry.MountPoint.AsSpan().StartsWith(prefix)).Select(entry => Encoding.UTF8.GetString(entry.MountPoint))];
    }
}
