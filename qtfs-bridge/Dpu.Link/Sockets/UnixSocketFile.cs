using System.Net.Sockets;
using Dpu.Linux;

namespace Dpu.Link.Sockets;

/// <summary>
/// The file of a listening unix socket. A file that a dead listener left is replaced; a live listener's is not.
/// A lock beside it decides between two that start at once; the kernel drops it with its process.
/// </summary>
internal sealed class UnixSocketFile : IDisposable
{
    private static readonly TimeSpan ProbeLimit = TimeSpan.FromSeconds(1);
    private readonly string _path;
    private readonly FileStream _lock;
    private bool _bound;

    private UnixSocketFile(string path, FileStream fileLock)
    {
        _path = path;
        _lock = fileLock;
    }

    /// <summary>Binds <paramref name="socket"/> to the path with the given mode; nobody can connect before listen(2).</summary>
    /// <exception cref="IOException">Somebody listens there, or the folder is not safe or not writable.</exception>
    internal static UnixSocketFile Bind(SafeSocketHandle socket, string path, UnixFileMode mode)
    {
        var folder = Path.GetDirectoryName(path)!;
        Directory.CreateDirectory(folder, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute
            | UnixFileMode.GroupRead | UnixFileMode.GroupExecute | UnixFileMode.OtherRead | UnixFileMode.OtherExecute);
        var folderMode = File.GetUnixFileMode(folder);
        if ((folderMode & (UnixFileMode.GroupWrite | UnixFileMode.OtherWrite)) != 0 && !folderMode.HasFlag(UnixFileMode.StickyBit))
        {
            throw new IOException($"Cannot listen on {path}: others may write to {folder} and replace the socket; chmod go-w {folder}.");
        }

        var file = new UnixSocketFile(path, TakeLock(path));
        try
        {
            file.BindOrReplace(socket);
            File.SetUnixFileMode(path, mode);
            return file;
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    public void Dispose()
    {
        if (_bound)
        {
            File.Delete(_path);
        }

        _lock.Dispose();
    }

    private static FileStream TakeLock(string path)
    {
        try
        {
            // FileShare.None is flock(LOCK_EX | LOCK_NB).
            return new FileStream(path + ".lock", new FileStreamOptions
            {
                Mode = FileMode.OpenOrCreate,
                Access = FileAccess.ReadWrite,
                Share = FileShare.None,
                Options = FileOptions.DeleteOnClose,
                UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite,
            });
        }
        catch (IOException e)
        {
            throw new IOException($"Cannot listen on {path}: another process listens there (it holds {path}.lock); stop it, or choose another path.", e);
        }
    }

    private void BindOrReplace(SafeSocketHandle socket)
    {
        var address = SocketAddresses.Of(LinkEndpoint.Unix(_path));
        var error = NativeSocket.Bind(socket, address);
        if (error == errno.EADDRINUSE)
        {
            RefuseIfAlive(address);
            File.Delete(_path);
            error = NativeSocket.Bind(socket, address);
        }

        if (error != 0)
        {
            throw new IOException($"Cannot listen on {_path}: {NativeSocket.Describe(error)}.");
        }

        _bound = true;
    }

    private void RefuseIfAlive(byte[] address)
    {
        var error = NativeSocket.Open(sys_socket.AF_UNIX, out var probe);
        if (error == 0)
        {
            using (probe)
            {
                error = NativeSocket.Connect(probe!, address, ProbeLimit);
            }
        }

        // Only a socket whose listener is gone refuses; a plain file does too, and that one is not ours to delete.
        if (error != errno.ECONNREFUSED)
        {
            throw new IOException(error == 0
                ? $"Cannot listen on {_path}: another process listens there; stop it, or choose another path."
                : $"Cannot listen on {_path}: it exists and whether its listener lives cannot be told ({NativeSocket.Describe(error)}).");
        }

        if (!IsSocket())
        {
            throw new IOException($"Cannot listen on {_path}: a file that is no socket is there; remove it, or choose another path.");
        }
    }

    // Opening a socket file fails with ENXIO, opening a file or a fifo for both directions does not (open(2), fifo(7)).
    private bool IsSocket()
    {
        try
        {
            using var handle = File.OpenHandle(_path, FileMode.Open, FileAccess.ReadWrite);
            return false;
        }
        catch (IOException)
        {
            // Expected: ENXIO.
            return true;
        }
        catch (UnauthorizedAccessException)
        {
            // A folder, or a file that is not ours to judge.
            return false;
        }
    }
}
