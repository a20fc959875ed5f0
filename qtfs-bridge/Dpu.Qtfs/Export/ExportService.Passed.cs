using Dpu.Fuse;
using Dpu.Link;
using Dpu.Linux;
using Dpu.Proto.V1;
using Microsoft.Win32.SafeHandles;

namespace Dpu.Qtfs.Export;

// Files of exports that programs pass to each other through relays of sockets.
public sealed partial class ExportService
{
    // Only where programs may be joined at all: what they pass follows the permission of the socket that they pass it on.
    private static HelloReply AdmitPassed(ExportedMount mount) => mount.Export.Connectable.IsEmpty && mount.Export.Bindable.IsEmpty
        ? Refuse(HelloStatus.NotPermitted, $"sockets of export '{mount.Export.Name}' name none")
        : new HelloReply { Status = HelloStatus.Ok, Relay = new RelayResult { Path = "(passed descriptor)" } };

    /// <summary>The files of the session of a relay's connection; null where its mount has ended.</summary>
    public PassedFiles? FilesOf(LinkConnection connection)
    {
        ArgumentNullException.ThrowIfNull(connection);
        return MountOf(connection.Peer, connection.Hello) is { } mount ? new PassedFiles(this, mount) : null;
    }

    /// <summary>The files of a session, for what its processes are given; null where it has no mount.</summary>
    public PassedFiles? FilesOfSession(LinkPeer peer, Hello hello)
    {
        ArgumentNullException.ThrowIfNull(peer);
        ArgumentNullException.ThrowIfNull(hello);
        lock (_lock)
        {
            return _sessions.GetValueOrDefault(SessionId(hello)) is { } session && session.Peer == peer.Name && session.Mounts.Values.FirstOrDefault(mount => !mount.Ended) is { } any
                ? new PassedFiles(this, any)
                : null;
        }
    }

    internal ExportedMount[] MountsBeside(ExportedMount mount)
    {
        lock (_lock)
        {
            return [mount, .. mount.Session.Mounts.Values.Where(other => other != mount && !other.Ended)];
        }
    }

    internal ExportedMount? MountBeside(ExportedMount mount, ulong id)
    {
        lock (_lock)
        {
            return mount.Session.Mounts.GetValueOrDefault(id) is { Ended: false } found ? found : null;
        }
    }
}

/// <summary>The files of a session's mounts, for programs that pass them through a relay of one of them. Thread-safe; its calls may block.</summary>
public sealed class PassedFiles
{
    private readonly ExportService _exports;
    private readonly ExportedMount _mount;

    internal PassedFiles(ExportService exports, ExportedMount mount) => (_exports, _mount) = (exports, mount);

    /// <summary>The mount's number in the session.</summary>
    public ulong MountId => _mount.Id;

    /// <summary>The export's name, for people.</summary>
    public string ExportName => _mount.Export.Name;

    /// <summary>Whether a program may have an interface of this machine that is made for it; null where not even one that there is.</summary>
    public bool? MayHave(string interfaceName)
    {
        ReadOnlySpan<byte> name = System.Text.Encoding.ASCII.GetBytes(interfaceName);
        return !_mount.Export.Interfaces.Match(name) ? null : _mount.Export.MadeInterfaces.Match(name);
    }

    /// <summary>Takes what breaks a relay off at the mount's end; false where that has come.</summary>
    public bool TryJoin(IDisposable relay) => _mount.TryJoin(relay);

    /// <summary>Takes it back.</summary>
    public void Leave(IDisposable relay) => _mount.Leave(relay);

    /// <summary>Whom messages are from that a program of the peer sends on a socket which it has passed: who it is by the export's policy.</summary>
    public ucred SpeakerOf(RelayParameters asked)
    {
        ArgumentNullException.ThrowIfNull(asked);
        IdentityPolicy policy = _mount.Export.Identity;
        return new ucred { pid = Environment.ProcessId, uid = policy.ToHostUser(asked.Uid), gid = policy.ToHostGroup(asked.Gid) };
    }

    /// <summary>Who has connected to a socket that a program of this machine has passed, as the export shows users.</summary>
    public (uint Uid, uint Gid) VisitorOf(System.Runtime.InteropServices.SafeHandle accepted) => ExportService.VisitorOf(_mount.Export.Identity, accepted);

    /// <summary>Finds a file that a program of this machine has open.</summary>
    /// <param name="descriptor">The file.</param>
    /// <param name="mount">The number of the mount below whose export it is.</param>
    /// <param name="path">The path there.</param>
    public bool TryFind(int descriptor, out ulong mount, out byte[] path)
    {
        Span<byte> room = stackalloc byte[limits.PATH_MAX];
        foreach (ExportedMount one in _exports.MountsBeside(_mount))
        {
            int length = one.Files.PathOfPassed(descriptor, room);
            if (length >= 0)
            {
                (mount, path) = (one.Id, room[..length].ToArray());
                return true;
            }
        }

        (mount, path) = (0, []);
        return false;
    }

    /// <summary>
    /// Opens a file that a program of the peer has open, as that program may; else as the peer's root may, which is what the export's
    /// policy makes of it: the program has it open, perhaps by rights that it has given up since.
    /// </summary>
    /// <param name="mount">The mount's number in the session.</param>
    /// <param name="node">The file's node.</param>
    /// <param name="flags">Of open(2) on this machine.</param>
    /// <param name="asked">Who the program is.</param>
    /// <param name="opened">The file.</param>
    /// <returns>0 or a negated errno. On a thread that serves nothing else.</returns>
    public int Open(ulong mount, ulong node, int flags, RelayParameters asked, out SafeFileHandle? opened)
    {
        ArgumentNullException.ThrowIfNull(asked);
        opened = null;
        if (_exports.MountBeside(_mount, mount) is not { } found)
        {
            return -errno.ESTALE;
        }

        Span<uint> groups = stackalloc uint[Math.Min(asked.Groups.Count, IdentityPolicy.MaxGroups)];
        for (int i = 0; i < groups.Length; i++)
        {
            groups[i] = asked.Groups[i];
        }

        FuseWorkerThread.Enter();
        int result = found.Files.OpenPassed(new FuseCaller { Uid = asked.Uid, Gid = asked.Gid, SupplementaryGroups = groups }, node, flags);
        if (result is -errno.EACCES or -errno.EPERM)
        {
            result = found.Files.OpenPassed(new FuseCaller(), node, flags);
        }

        _ = FuseWorkerThread.Leave();
        opened = result < 0 ? null : new SafeFileHandle(result, ownsHandle: true);
        return Math.Min(result, 0);
    }
}
