using Dpu.Hosting.Configuration;
using Dpu.Proto.V1;
using Dpu.Qtfs.Mount;
using Grpc.Core;

namespace Dpu.Runtime.Control;

/// <summary>Turns what a caller or the configuration asks for into a mount's options. Pure.</summary>
internal static class MountRequest
{
    /// <summary>Checks a caller's mount and fills in the defaults.</summary>
    /// <exception cref="RpcException">INVALID_ARGUMENT, with the field.</exception>
    public static RemoteMountOptions Check(Mount wanted)
    {
        Require(wanted.Host.Length > 0, "mount.host is empty; give the name of a configured host");
        Require(wanted.Export.Length > 0, "mount.export is empty; give an export's name or the path that it exports");
        Require(wanted.Target.StartsWith('/'), $"mount.target is '{wanted.Target}'; give an absolute path");
        int lanes = wanted.Lanes == 0 ? MountConfiguration.DefaultLanes : wanted.Lanes;
        Require(lanes is > 0 and <= MountConfiguration.MaxLanes, $"mount.lanes is {wanted.Lanes}; allowed are 1 to {MountConfiguration.MaxLanes}");
        TimeSpan cache = wanted.CacheTimeout?.ToTimeSpan() ?? TimeSpan.Zero;
        Require(cache >= TimeSpan.Zero && cache <= TimeSpan.FromDays(1), $"mount.cache_timeout is {cache}; allowed are 0 to 1 day");
        TimeSpan giveUp = wanted.GiveUpAfter?.ToTimeSpan() ?? MountConfiguration.DefaultGiveUpAfter;
        Require(giveUp > TimeSpan.Zero && giveUp <= TimeSpan.FromDays(1), $"mount.give_up_after is {giveUp}; allowed are more than 0 to 1 day");
        Require(wanted.Locks is "" or "host" or "local", $"mount.locks is '{wanted.Locks}'; allowed are 'host' and 'local', or nothing: the host where it can");
        Require(wanted.Kind is "" or "plain" or "proc", $"mount.kind is '{wanted.Kind}'; allowed are 'plain' and 'proc', or nothing, which is 'plain'");
        Require(wanted.Processes.Length == 0 || wanted.Processes.StartsWith('/'), $"mount.processes is '{wanted.Processes}'; give an absolute path, or nothing");
        Require(wanted.Processes.Length == 0 || wanted.Kind == "proc", "mount.processes is for a mount of kind 'proc' only");
        Require(wanted.Transport is "" or "fuse" or "io_uring", $"mount.transport is '{wanted.Transport}'; allowed are 'fuse' and 'io_uring', or nothing: fuse");
        return new RemoteMountOptions
        {
            Host = wanted.Host,
            Export = wanted.Export,
            Target = Normalize(wanted.Target),
            ReadOnly = wanted.ReadOnly,
            AllowSuid = wanted.AllowSuid,
            AllowDev = wanted.AllowDev,
            Coherent = wanted.Cache == MountCache.Coherent,
            CacheTimeout = cache,
            Lanes = lanes,
            GiveUpAfter = giveUp,
            OwnProcesses = wanted.Kind == "proc",
            ProcessFolder = wanted.Processes.Length == 0 ? null : wanted.Processes,
            Locks = wanted.Locks switch { "host" => MountLocks.Host, "local" => MountLocks.Local, _ => MountLocks.HostIfSupported },
            Transport = wanted.Transport == "io_uring" ? MountTransport.IoUring : MountTransport.Fuse,
        };
    }

    /// <summary>The options of a configured mount.</summary>
    public static RemoteMountOptions From(MountConfiguration configured) => new()
    {
        Host = configured.Host,
        Export = configured.Export,
        Target = Normalize(configured.Target),
        ReadOnly = configured.ReadOnly,
        AllowSuid = configured.AllowSuid,
        AllowDev = configured.AllowDev,
        Coherent = configured.Coherent,
        CacheTimeout = configured.CacheTimeout,
        Lanes = configured.Lanes,
        GiveUpAfter = configured.GiveUpAfter,
        StaleAfter = configured.StaleAfter ?? MountConfiguration.DefaultStaleAfter,
        OwnProcesses = configured.OwnProcesses,
        ProcessFolder = configured.OwnProcesses ? configured.ProcessFolder : null,
        Locks = configured.Locks switch { LockKeeper.Host => MountLocks.Host, LockKeeper.Local => MountLocks.Local, _ => MountLocks.HostIfSupported },
        Transport = configured.IoUring ? MountTransport.IoUring : MountTransport.Fuse,
    };

    /// <summary>The path without a slash at its end and without "." and "..".</summary>
    public static string Normalize(string target) => target.Length == 0 ? target : Path.TrimEndingDirectorySeparator(Path.GetFullPath(target));

    private static void Require(bool holds, string message)
    {
        if (!holds)
        {
            throw new RpcException(new Grpc.Core.Status(StatusCode.InvalidArgument, message));
        }
    }
}
