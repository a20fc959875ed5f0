using System.Text;

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
        }
        catch
        {
            File.Delete(temporary);
            throw;
        }
    }
}
