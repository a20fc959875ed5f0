using System.Runtime.InteropServices;
using System.Text;
using Dpu.Linux;

namespace Dpu.Link.Pki;

/// <summary>Files that appear whole or not at all: written beside, flushed to disk, renamed.</summary>
internal static class PkiFiles
{
    internal const UnixFileMode Private = UnixFileMode.UserRead | UnixFileMode.UserWrite;
    internal const UnixFileMode Public = Private | UnixFileMode.GroupRead | UnixFileMode.OtherRead;
    internal const UnixFileMode PrivateFolder = Private | UnixFileMode.UserExecute;

    internal static void Write(string path, string text, UnixFileMode mode)
    {
        var temporary = $"{path}.{Guid.NewGuid():N}.tmp";
        try
        {
            using (var file = new FileStream(temporary, new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.Write, UnixCreateMode = mode }))
            {
                // The process's umask took bits away from the mode given at creation; it must be exactly this one.
                File.SetUnixFileMode(file.SafeFileHandle, mode);
                file.Write(Encoding.ASCII.GetBytes(text));
                file.Flush(flushToDisk: true);
            }

            File.Move(temporary, path, overwrite: true);
            FlushFolder(Path.GetDirectoryName(path)!);
        }
        catch
        {
            File.Delete(temporary);
            throw;
        }
    }

    // A rename is on disk once its folder is (fsync(2), NOTES).
    private static unsafe void FlushFolder(string folder)
    {
        var path = Encoding.UTF8.GetBytes(folder + '\0');
        int result;

        // SAFETY: the NUL-terminated path is pinned for the call.
        fixed (byte* pointer = path)
        {
            result = LibC.Result(LibC.openat(fcntl.AT_FDCWD, pointer, fcntl.O_RDONLY | fcntl.O_CLOEXEC, 0));
        }

        if (result >= 0)
        {
            var fd = result;
            result = LibC.Result(LibC.fsync(fd));
            _ = LibC.close(fd);
        }

        // EINVAL: a file system whose folders cannot be flushed keeps renames by other means.
        if (result is not (0 or -errno.EINVAL))
        {
            throw new IOException($"Flushing {folder} to disk failed: {Marshal.GetPInvokeErrorMessage(-result)}.");
        }
    }
}
