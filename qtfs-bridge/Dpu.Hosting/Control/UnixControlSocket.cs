using System.Buffers.Binary;
using System.Net.Sockets;

namespace Dpu.Hosting.Control;

/// <summary>
/// The file of a control socket: mode 0600 from its first moment, replacing one that a dead daemon left, refusing to
/// replace a live one's.
/// </summary>
/// <remarks>
/// The socket is bound under another name, its mode set, and then renamed: so there is no moment in which others could
/// connect, without touching the process's umask. A lock beside it decides between two daemons that start at once; the
/// kernel drops it with its process.
/// </remarks>
public sealed class UnixControlSocket : IDisposable
{
    private const UnixFileMode OwnerOnly = UnixFileMode.UserRead | UnixFileMode.UserWrite;

    private const UnixFileMode FolderMode = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute
        | UnixFileMode.GroupRead | UnixFileMode.GroupExecute | UnixFileMode.OtherRead | UnixFileMode.OtherExecute;

    private readonly FileStream _lock;

    private UnixControlSocket(string path, FileStream fileLock, Socket socket)
    {
        Path = path;
        _lock = fileLock;
        Socket = socket;
    }

    /// <summary>Where it is.</summary>
    public string Path { get; }

    /// <summary>The bound socket; whoever listens on it disposes it.</summary>
    public Socket Socket { get; }

    /// <summary>Binds a socket; its folder is made where it is missing.</summary>
    /// <exception cref="IOException">Another daemon is alive there, or the folder is not writable; the message says which.</exception>
    public static UnixControlSocket Bind(string path)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        string folder = System.IO.Path.GetDirectoryName(path) ?? "/";
        _ = Directory.CreateDirectory(folder, FolderMode);
        UnixFileMode mode = File.GetUnixFileMode(folder);
        if ((mode & (UnixFileMode.GroupWrite | UnixFileMode.OtherWrite)) != 0 && !mode.HasFlag(UnixFileMode.StickyBit))
        {
            throw new IOException($"cannot listen on {path}: others may write to {folder} and replace the socket; chmod go-w {folder}");
        }

        FileStream fileLock = TakeLock(path);
        var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        string temporary = System.IO.Path.Combine(folder, ".dpu-new." + Environment.ProcessId);
        try
        {
            RefuseIfAlive(path);
            File.Delete(temporary);
            socket.Bind(new UnixDomainSocketEndPoint(temporary));
            File.SetUnixFileMode(temporary, OwnerOnly);
            File.Move(temporary, path, overwrite: true);
            return new UnixControlSocket(path, fileLock, socket);
        }
        catch (Exception e)
        {
            socket.Dispose();
            fileLock.Dispose();
            if (e is SocketException or UnauthorizedAccessException)
            {
                throw new IOException($"cannot listen on {path}: {e.Message}", e);
            }

            throw;
        }
    }

    /// <summary>The uid of the process at the other end when it connected (SO_PEERCRED, unix(7)).</summary>
    public static uint PeerUid(Socket socket)
    {
        ArgumentNullException.ThrowIfNull(socket);
        const int SOL_SOCKET = 1, SO_PEERCRED = 17, UcredSize = 12, UidOffset = 4;
        Span<byte> credentials = stackalloc byte[UcredSize];
        int size = socket.GetRawSocketOption(SOL_SOCKET, SO_PEERCRED, credentials);
        return size == UcredSize
            ? BitConverter.IsLittleEndian
                ? BinaryPrimitives.ReadUInt32LittleEndian(credentials[UidOffset..])
                : BinaryPrimitives.ReadUInt32BigEndian(credentials[UidOffset..])
            : throw new IOException("the kernel does not tell who connected to the control socket");
    }

    /// <summary>This process's effective uid: the third field of Uid in proc(5)'s status.</summary>
    internal static uint OwnUid { get; } = uint.Parse(
        File.ReadLines("/proc/self/status").First(l => l.StartsWith("Uid:", StringComparison.Ordinal)).Split('\t')[2],
        System.Globalization.CultureInfo.InvariantCulture);

    /// <summary>Removes the file.</summary>
    public void Dispose()
    {
        try
        {
            File.Delete(Path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // Expected: the folder has been taken away or made read-only. The next start replaces the file.
        }

        _lock.Dispose();
    }

    private static FileStream TakeLock(string path)
    {
        try
        {
            return new FileStream(path + ".lock", new FileStreamOptions
            {
                Mode = FileMode.OpenOrCreate,
                Access = FileAccess.ReadWrite,
                // flock(LOCK_EX | LOCK_NB).
                Share = FileShare.None,
                Options = FileOptions.DeleteOnClose,
                UnixCreateMode = OwnerOnly,
            });
        }
        catch (UnauthorizedAccessException e)
        {
            throw new IOException($"cannot listen on {path}: its folder is not writable for this user; run as root or choose another control.socket", e);
        }
        catch (IOException e)
        {
            throw new IOException($"cannot listen on {path}: another daemon listens there; stop it, or choose another control.socket", e);
        }
    }

    private static void RefuseIfAlive(string path)
    {
        if (!File.Exists(path))
        {
            return;
        }

        using var probe = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            probe.Connect(new UnixDomainSocketEndPoint(path));
        }
        catch (SocketException e) when (e.SocketErrorCode == SocketError.ConnectionRefused)
        {
            // Expected: whoever listened there has ended. A file that is no socket refuses as well.
            if ((File.GetAttributes(path) & (FileAttributes.Directory | FileAttributes.ReparsePoint)) != 0
                || new FileInfo(path).Length != 0)
            {
                throw new IOException($"cannot listen on {path}: it exists and is no socket; move it away", e);
            }

            return;
        }
        catch (SocketException e)
        {
            throw new IOException($"cannot listen on {path}: it exists and whether its daemon lives cannot be told ({e.Message}); remove it if it does not", e);
        }

        throw new IOException($"cannot listen on {path}: another daemon listens there; stop it, or choose another control.socket");
    }
}
