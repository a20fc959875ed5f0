using System.CommandLine;
using Dpu.Ctl.Completion;
using Dpu.Hosting;
using Dpu.Proto.V1;

namespace Dpu.Ctl.Commands;

/// <summary><c>dpuctl umount TARGET</c>.</summary>
internal static class UmountCommand
{
    public static Command Build(CommandTree.Runner runner)
    {
        var target = new Argument<string>("TARGET") { Description = "The directory that a host's is mounted on" };
        target.Completes(DynamicValues.Targets);
        var lazy = new Option<bool>("--lazy") { Description = "Detach it now and end it when its last user goes" };
        var recursive = new Option<bool>("--recursive", "-R") { Description = "First unmount the hosts' directories that are mounted inside of it" };
        var command = new Command("umount", "Unmount a directory") { target, lazy, recursive };
        runner.Set(command, (context, cancellation) => RunAsync(
            context,
            Targets.Resolve(context, context.Parsed.GetRequiredValue(target)),
            context.Parsed.GetValue(lazy),
            context.Parsed.GetValue(recursive),
            cancellation));
        return command;
    }

    private static async Task<int> RunAsync(CtlContext context, string target, bool lazy, bool recursive, CancellationToken cancellation)
    {
        _ = await context.Connection.Runtime.DeleteMountAsync(
            new DeleteMountRequest { Name = "mounts/-", Target = target, Lazy = lazy, Recursive = recursive }, context.Connection.Options(cancellation));
        if (context.Json)
        {
            context.WriteJson(json =>
            {
                json.WriteString("target", target);
                json.WriteBoolean("lazy", lazy);
                json.WriteBoolean("recursive", recursive);
            });
        }

        context.Say(lazy ? $"Detached {target}" : $"Unmounted {target}");
        return ExitCodes.Success;
    }
}
