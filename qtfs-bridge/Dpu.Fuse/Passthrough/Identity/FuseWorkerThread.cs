using System.Runtime.CompilerServices;
using Dpu.Linux;
using static Dpu.Linux.LibC;

namespace Dpu.Fuse;

/// <summary>
/// What a thread that runs file system calls must know of itself: its effective identity, capabilities and umask are
/// its own, and are changed only where the next call needs others.
/// </summary>
/// <remarks>
/// The C library keeps the credentials of all threads equal, so that all here is raw system calls on the calling thread
/// (credentials(7), "set*id functions in a multithreaded program"). The identity stays until another call needs another
/// one: such a thread should do nothing but serve files.
/// </remarks>
public sealed unsafe class FuseWorkerThread
{
    /// <summary>The most supplementary groups of a caller.</summary>
    internal const int MaxGroups = 32;

    [ThreadStatic]
    private static FuseWorkerThread? t_current;

    private readonly uint _agentUid = geteuid();
    private readonly uint _agentGid = getegid();
    private readonly uint[] _groups = new uint[MaxGroups];
    private readonly __user_cap_data_struct _low;
    private readonly __user_cap_data_struct _high;
    private int _groupCount;
    private uint _uid;
    private uint _gid;
    private uint _umask;
    private Privilege _privilege;
    private readonly bool _changeable;
    private bool _known;

    private FuseWorkerThread()
    {
        // Without it the umask would be the whole process's. Needs no privilege.
        int error = Result(unshare(sched.CLONE_FS));
        if (error < 0)
        {
            throw new InvalidOperationException($"Could not give a file system thread its own umask: unshare(CLONE_FS) failed with errno {-error}. A seccomp filter that refuses unshare must allow it.");
        }

        _umask = 0;
        umask(0);
        (_low, _high) = ReadCapabilities();
        _uid = _agentUid;
        _gid = _agentGid;
        _privilege = Privilege.Agent;

        // Without CAP_SETGID the daemon's groups stay, and every other identity is refused with EPERM.
        _changeable = _known = ThreadSetGroups(null, 0) == 0;
    }

    /// <summary>This thread's state; enters on first use.</summary>
    internal static FuseWorkerThread Current
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => t_current ?? First();
    }

    /// <summary>
    /// Prepares the calling thread for file system calls: an own umask (0) and no supplementary groups. Every thread
    /// that serves files calls it first; a second time does nothing. Cannot be undone, so never on a pool's thread.
    /// </summary>
    /// <exception cref="InvalidOperationException">The kernel refused; the message says which call and what to do.</exception>
    public static void Enter() => _ = Current;

    /// <summary>Takes the daemon's own identity and capabilities back; 0 or a negated errno.</summary>
    public static int Leave() => t_current?.BecomeAgent() ?? 0;

    /// <summary>Acts as the daemon itself. Costs nothing where it does already.</summary>
    internal int BecomeAgent() => _changeable ? Become(_agentUid, _agentGid, [], Privilege.Agent) : 0;

    /// <summary>Acts as a user of this machine; 0 or a negated errno, after which the thread is the daemon again.</summary>
    internal int Become(uint uid, uint gid, ReadOnlySpan<uint> groups, Privilege privilege)
    {
        if (_known && privilege == _privilege && uid == _uid && gid == _gid && groups.SequenceEqual(_groups.AsSpan(0, _groupCount)))
        {
            return 0;
        }

        if (!_changeable)
        {
            return -errno.EPERM;
        }

        int error = Change(uid, gid, groups, privilege);
        if (error < 0 && Change(_agentUid, _agentGid, [], Privilege.Agent) < 0)
        {
            _known = false;
        }

        return error;
    }

    /// <summary>Sets the umask of this thread; costs nothing where it is the same.</summary>
    internal void SetUmask(uint mask)
    {
        mask &= 0x1ff;
        if (mask != _umask)
        {
            umask(mask);
            _umask = mask;
        }
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static FuseWorkerThread First() => t_current = new FuseWorkerThread();

    private int Change(uint uid, uint gid, ReadOnlySpan<uint> groups, Privilege privilege)
    {
        if (groups.Length > MaxGroups)
        {
            return -errno.EINVAL;
        }

        // 1. All of the daemon's capabilities, which the next steps need. 2. Groups and ids. 3. The capabilities asked for:
        // last, because the kernel drops or restores them itself when the effective uid leaves or enters 0 (capabilities(7)).
        int error = SetEffective(Privilege.Agent);
        if (error < 0)
        {
            return error;
        }

        if (!_known || !groups.SequenceEqual(_groups.AsSpan(0, _groupCount)))
        {
            // SAFETY: the kernel reads Length ids, and the span stays pinned meanwhile.
            fixed (uint* list = groups)
            {
                error = Result(ThreadSetGroups(list, groups.Length));
            }

            if (error < 0)
            {
                return error;
            }

            groups.CopyTo(_groups);
            _groupCount = groups.Length;
        }

        // The effective ids, which the file system ids follow: sysctls ask for the former (proc_sys_permission of the kernel).
        // Real and saved ones stay the daemon's, so that it can come back, and so that a user whose id the thread has
        // for a moment may not send it signals (kill(2)).
        _known = false;
        const uint same = uint.MaxValue;
        error = Result(ThreadSetResGid(same, gid, same));
        if (error == 0)
        {
            error = Result(ThreadSetResUid(same, uid, same));
        }

        if (error < 0)
        {
            return error;
        }

        (_uid, _gid) = (uid, gid);
        error = SetEffective(privilege);
        _known = error == 0;
        return error;
    }

    private int SetEffective(Privilege privilege)
    {
        const uint creation = (1u << capability.CAP_DAC_OVERRIDE) | (1u << capability.CAP_MKNOD);
        __user_cap_header_struct header = new() { version = capability._LINUX_CAPABILITY_VERSION_3 };

        // SAFETY: capset reads one header and, for version 3, two structs.
        __user_cap_data_struct* data = stackalloc __user_cap_data_struct[capability._LINUX_CAPABILITY_U32S_3];
        (data[0], data[1]) = (_low, _high);
        if (privilege != Privilege.Agent)
        {
            data[0].effective = privilege == Privilege.Creation ? _low.effective & creation : 0;
            data[1].effective = 0;
        }

        int error = Result(capset(&header, data));
        if (error == 0)
        {
            _privilege = privilege;
        }

        return error;
    }

    private static (__user_cap_data_struct Low, __user_cap_data_struct High) ReadCapabilities()
    {
        __user_cap_header_struct header = new() { version = capability._LINUX_CAPABILITY_VERSION_3 };

        // SAFETY: capget writes, for version 3, two structs.
        __user_cap_data_struct* data = stackalloc __user_cap_data_struct[capability._LINUX_CAPABILITY_U32S_3];
        int error = Result(capget(&header, data));
        return error == 0
            ? (data[0], data[1])
            : throw new InvalidOperationException($"Could not read the capabilities of a file system thread: capget failed with errno {-error}.");
    }
}
