using System.Text;
using Dpu.Fuse.Wire;
using Dpu.Linux;
using static Dpu.Linux.LibC;

namespace Dpu.Fuse;

/// <summary>
/// Shows one directory of this machine to a peer that need not be trusted: every id, name and flag is checked, nothing
/// but regular files and directories is ever opened, and no path leads out of the directory.
/// </summary>
/// <remarks>
/// How a request is kept inside: a node is an O_PATH descriptor, or the kernel's handle of a file that had one
/// (<see cref="DescriptorWindow"/>); names are one component, never followed if they are
/// symbolic links; what a node refers to is compared with the root's present path at each operation, and what a look-up
/// found once more after it was opened (<see cref="ExportBoundary"/>). So a file that was moved out answers ESTALE;
/// only reads and writes of files that are open already go on, as on the host.
/// <para>
/// A file that was opened again by its handle may have no path: the host's kernel keeps none for a file (directories it
/// connects) whose name it has dropped from its cache. The node then answers ESTALE once; the peer's kernel looks the name
/// up again, as it does after every ESTALE of a call by path, and that gives the node a descriptor with a path.
/// </para>
/// <para>Thread-safe. A thread that calls it becomes a <see cref="FuseWorkerThread"/>.</para>
/// </remarks>
public sealed unsafe partial class PassthroughFileSystem : FuseFileSystem, IDisposable
{
    private const int LockCount = 64;
    private readonly PassthroughOptions _options;
    private readonly IdentityPolicy _identity;
    private readonly NodeTable _nodes;
    private readonly HandleTable _handles;
    private readonly ReaderTable _readers;
    private readonly LockTable _locks;
    private readonly ExportBoundary _boundary;
    private readonly Lock[] _directoryLocks = new Lock[LockCount];
    private readonly FuseTimeout _entryTimeout;
    private readonly FuseTimeout _attributeTimeout;
    private readonly ulong _rootDevice;
    private readonly TreeKind _rootTree;
    private readonly int _descriptors;
    private int _disposed;

    /// <summary>Opens the directory.</summary>
    /// <exception cref="IOException">The root or /proc cannot be opened; the message says why.</exception>
    public PassthroughFileSystem(PassthroughOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(options.MaxNodes);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(options.MaxHandles);
        _options = options;
        _identity = options.Identity;
        _entryTimeout = new FuseTimeout(options.EntryTimeout);
        _attributeTimeout = new FuseTimeout(options.AttributeTimeout);
        for (int i = 0; i < LockCount; i++)
        {
            _directoryLocks[i] = new Lock();
        }

        DescriptorWindow window = options.DescriptorWindow ?? DescriptorWindow.Shared;
        int root = OpenRoot(options.Root);
        try
        {
            _descriptors = OpenDirectory("/proc/self/fd", "the list of descriptors");
        }
        catch
        {
            _ = close(root);
            throw;
        }

        int error = RequireProc(_descriptors);
        statx status = default;
        if (error == 0)
        {
            error = StatusOf(root, out status);
        }

        if (error < 0)
        {
            _ = close(root);
            _ = close(_descriptors);
            throw new IOException($"Could not export '{options.Root}': errno {-error} from its status or from /proc, which must be a mounted procfs.");
        }

        _ = TreeKinds.Find(root, out _rootTree);
        NodeRecord record = RecordOf(root, status) with { Tree = _rootTree };
        _rootDevice = record.Device;
        _handles = new HandleTable(options.MaxHandles, options.FirstGeneration, options.HandleBudget, options.Kept);
        try
        {
            _ = _handles.Restore();
            _nodes = new NodeTable(record, options.MaxNodes, options.FirstGeneration, options.NodeBudget, window, options.Watcher, _handles, options.Kept, options.Identities);
        }
        catch
        {
            _handles.Close();
            _ = close(root);
            _ = close(_descriptors);
            throw;
        }

        _readers = new ReaderTable(_nodes, _handles);
        _locks = new LockTable(_handles, _descriptors, options.Locks, options.OnLockLimit, options.Kept);
        _locks.Restore();
        _boundary = new ExportBoundary(root, _descriptors);
    }

    /// <summary>What the records in <see cref="PassthroughOptions.Kept"/> look like: another number, another layout.</summary>
    public static int KeptLayout => (sizeof(NodeRecord) << 16) | sizeof(HandleRecord);

    /// <summary>The nodes that the peer holds beside the root.</summary>
    public int OpenNodes => _nodes.Count;

    /// <summary>How many of <see cref="OpenNodes"/> hold a descriptor at the moment; the <see cref="DescriptorWindow"/> bounds it.</summary>
    public int NodeDescriptors => _nodes.Open;

    /// <summary>The peer's open files and directories.</summary>
    public int OpenHandles => _handles.Count;

    /// <summary>Open files of an earlier life that nobody had kept: their handles answer EBADF.</summary>
    public int LostHandles => _handles.Lost;

    /// <summary>Gives open files and locks again to <see cref="PassthroughOptions.Kept"/>, which has lost them.</summary>
    public void HoldAgain()
    {
        _handles.HoldAgain();
        _locks.HoldAgain();
    }

    /// <summary>How many requests a limit refused, ours or the kernel's of descriptors.</summary>
    public long Refused => _nodes.Refused + _handles.Refused;

    /// <summary>How often the peer gave back references that it did not have: a bug of its, or an attack.</summary>
    public long ForgetViolations => _nodes.Overdrawn;

    /// <inheritdoc/>
    public override void Destroy()
    {
        _locks.Clear();
        _handles.Clear();
        _nodes.Clear();
    }

    /// <summary>Closes everything. Calls that still run end with ESTALE or EBADF, or close what they hold themselves.</summary>
    public void Dispose()
    {
        if (Interlocked.Exchange(ref _disposed, 1) == 0)
        {
            _handles.Close();
            _locks.Close();
            _nodes.Close();
            _ = close(_descriptors);
        }
    }

    /// <summary>For tests: shuts a node as a full window does; false where none can be.</summary>
    internal bool ShutOneNode() => _nodes.TryShutOne();

    /// <summary>Checks that a node is inside and takes the identity of a call; 0 or a negated errno.</summary>
    private int Begin(in FuseCaller caller, in NodePin node, IdentityUse use = IdentityUse.Ordinary)
    {
        if (!node.Valid)
        {
            return node.Error;
        }

        int error = _boundary.Check(node.Descriptor);
        return error < 0 ? error : _identity.Assume(caller, UseFor(node.Tree, use));
    }

    /// <summary>As <see cref="Begin"/>, for what changes something.</summary>
    private int BeginChange(in FuseCaller caller, in NodePin node, IdentityUse use = IdentityUse.Ordinary) =>
        _options.ReadOnly ? -errno.EROFS : Begin(caller, node, use);

    private static int StatusOf(int descriptor, out statx status) =>
        StatusOf(descriptor, stat.STATX_BASIC_STATS | KernelMounts.NumberBits, out status);

    private static int StatusOf(int descriptor, uint mask, out statx status)
    {
        // SAFETY: statx writes one struct, which stays pinned meanwhile; an empty path means the descriptor itself.
        byte empty = 0;
        fixed (statx* buffer = &status)
        {
            return Result(statx(descriptor, &empty, fcntl.AT_EMPTY_PATH | fcntl.AT_NO_AUTOMOUNT, mask, buffer));
        }
    }

    // Not O_PATH where that may be: open_by_handle_at takes a real descriptor only to say which mount it means. The root
    // of a daemon that may not list it holds as well, but no node below can be opened again then, and all stay open.
    private static int OpenRoot(string path)
    {
        byte[] name = Encoding.UTF8.GetBytes(path + '\0');

        // SAFETY: the array ends with NUL and stays pinned for the call.
        fixed (byte* text = name)
        {
            int descriptor = Result(openat(fcntl.AT_FDCWD, text, fcntl.O_RDONLY | fcntl.O_DIRECTORY | fcntl.O_CLOEXEC, 0));
            return descriptor >= 0 ? descriptor : OpenDirectory(path, "the directory to export");
        }
    }

    private static int OpenDirectory(string path, string what)
    {
        byte[] name = Encoding.UTF8.GetBytes(path + '\0');

        // SAFETY: the array ends with NUL and stays pinned for the call.
        fixed (byte* text = name)
        {
            int descriptor = Result(openat(fcntl.AT_FDCWD, text, fcntl.O_PATH | fcntl.O_DIRECTORY | fcntl.O_CLOEXEC, 0));
            return descriptor >= 0
                ? descriptor
                : throw new IOException($"Could not open {what}, '{path}': errno {-descriptor}. It must be an existing directory that this program may reach.");
        }
    }

    private static int RequireProc(int descriptor)
    {
        statfs state;
        int error = Result(fstatfs(descriptor, &state));
        return error < 0 ? error : state.f_type == magic.PROC_SUPER_MAGIC ? 0 : -errno.EOPNOTSUPP;
    }
}
