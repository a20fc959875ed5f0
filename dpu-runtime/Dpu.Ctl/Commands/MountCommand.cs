using System.CommandLine;
using Dpu.Ctl.Completion;
using Dpu.Ctl.Output;
using Dpu.Hosting;
using Dpu.Hosting.Configuration;
using Dpu.Proto.V1;
using Google.Protobuf.WellKnownTypes;

namespace Dpu.Ctl.Commands;

/// <summary><c>dpuctl mount HOST:EXPORT TARGET</c>.</summary>
internal static class MountCommand
{
    public static Command Build(CommandTree.Runner runner)
    {
        var source = new Argument<string>("HOST:EXPORT")
        {
            Description = "The host's name and the export's name, or the path that it exports: host1:home, host1:/srv/data",
        };
        source.Completes(DynamicValues.Sources);
        var target = new Argument<string>("TARGET") { Description = "The directory to mount on" };
        var readOnly = new Option<bool>("--read-only") { Description = "Mount read-only" };
        var allowSuid = new Option<bool>("--allow-suid") { Description = "Honour setuid and setgid bits of the host's files" };
        var allowDev = new Option<bool>("--allow-dev") { Description = "Let device nodes of the host's files work" };
        var cache = new Option<string>("--cache")
        {
            Description = "What is kept of the host's files: nothing, or all until the host tells of a change",
            DefaultValueFactory = _ => "none",
        };
        cache.AcceptOnlyFromAmong("none", "coherent");
        Option<DurationValue> cacheTimeout = Durations.Option(
            "--cache-timeout", "How long names and attributes may be believed without asking the host", TimeSpan.Zero);
        var lanes = new Option<int>("--lanes")
        {
            Description = $"Connections that carry the requests, 1 to {MountConfiguration.MaxLanes}",
            HelpName = "N",
            DefaultValueFactory = _ => MountConfiguration.DefaultLanes,
        };
        lanes.Validators.Add(result =>
        {
            if (result.Tokens.Count == 1 && result.GetValueOrDefault<int>() is < 1 or > MountConfiguration.MaxLanes)
            {
                result.AddError($"--lanes is a number of 1 to {MountConfiguration.MaxLanes}");
            }
        });
        Option<DurationValue> giveUpAfter = Durations.Option(
            "--give-up-after",
            "How long an operation waits for a host that is away before it ends with an I/O error",
            MountConfiguration.DefaultGiveUpAfter);
        var locks = new Option<string>("--locks")
        {
            Description = "Who keeps the locks of its files: the host, or the DPU (local); else the host where it can",
            HelpName = "host|local",
        };
        _ = locks.AcceptOnlyFromAmong("host", "local");
        var kind = new Option<string>("--kind")
        {
            Description = "What the mount is: the host's files, or the host's /proc with the DPU's own processes in it (proc)",
            DefaultValueFactory = _ => "plain",
        };
        _ = kind.AcceptOnlyFromAmong("plain", "proc");
        var processes = new Option<string>("--processes")
        {
            Description = "With --kind proc: the directory where the procfs of the pid namespace is mounted whose processes are put in",
            HelpName = "PATH",
        };
        var transport = new Option<string>("--transport")
        {
            Description = "How the kernel's requests come: by reading /dev/fuse (fuse), or by io_uring, where that can be had",
            DefaultValueFactory = _ => "fuse",
        };
        transport.AcceptOnlyFromAmong("fuse", "io_uring");
        var command = new Command("mount", "Mount a directory of a host")
        {
            source, target, readOnly, allowSuid, allowDev, cache, cacheTimeout, lanes, giveUpAfter, locks, kind, processes, transport,
        };
        runner.Set(command, (context, cancellation) =>
        {
            (string host, string export) = ParseSource(context.Parsed.GetRequiredValue(source));
            return RunAsync(
                context,
                new Mount
                {
                    Host = host,
                    Export = export,
                    Target = Targets.Resolve(context, context.Parsed.GetRequiredValue(target)),
                    ReadOnly = context.Parsed.GetValue(readOnly),
                    AllowSuid = context.Parsed.GetValue(allowSuid),
                    AllowDev = context.Parsed.GetValue(allowDev),
                    Cache = context.Parsed.GetValue(cache) == "coherent" ? MountCache.Coherent : MountCache.None,
                    CacheTimeout = Duration.FromTimeSpan(context.Parsed.GetValue(cacheTimeout).Span),
                    Lanes = context.Parsed.GetValue(lanes),
                    GiveUpAfter = Duration.FromTimeSpan(context.Parsed.GetValue(giveUpAfter).Span),
                    Locks = context.Parsed.GetValue(locks) ?? string.Empty,
                    Kind = context.Parsed.GetValue(kind),
                    Processes = context.Parsed.GetValue(processes) ?? string.Empty,
                    Transport = context.Parsed.GetValue(transport) ?? string.Empty,
                },
                cancellation);
        });
        return command;
    }

    /// <summary>Splits <c>HOST:EXPORT</c> at the first colon; an export's path may have more.</summary>
    internal static (string Host, string Export) ParseSource(string source)
    {
        int colon = source.IndexOf(':', StringComparison.Ordinal);
        return colon > 0 && colon < source.Length - 1
            ? (source[..colon], source[(colon + 1)..])
            : throw new CtlException(ExitCodes.Usage, $"'{source}' names no host and export; write HOST:EXPORT, such as host1:home or host1:/srv/data");
    }

    private static async Task<int> RunAsync(CtlContext context, Mount wanted, CancellationToken cancellation)
    {
        Mount mount = await context.Connection.Runtime.CreateMountAsync(
            new CreateMountRequest { Mount = wanted }, context.Connection.Options(cancellation));
        if (context.Json)
        {
            context.WriteJson(json => JsonOutput.Mount(json, mount));
        }

        context.Say(Human.Clean($"Mounted {mount.Host}:{mount.Export} on {mount.Target}{(mount.ReadOnly ? " read-only" : string.Empty)}"));
        return ExitCodes.Success;
    }
}

/// <summary>Mount targets as given on the command line.</summary>
internal static class Targets
{
    /// <summary>An absolute path; a relative one counts from here, if the runtime is here.</summary>
    public static string Resolve(CtlContext context, string target)
    {
        if (target.StartsWith('/'))
        {
            // Without "." and ".." and a slash at the end: as the kernel's mount table has it.
            return target.Length > 1 ? Path.TrimEndingDirectorySeparator(Path.GetFullPath(target)) : target;
        }

        return context.IsLocal && target.Length > 0
            ? Path.TrimEndingDirectorySeparator(Path.GetFullPath(target))
            : throw new CtlException(ExitCodes.Usage, $"the target '{target}' is not an absolute path on the DPU");
    }
}
