using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using Dpu.Ctl.Completion;
using Dpu.Ctl.Output;
using Dpu.Hosting;
using Dpu.Hosting.Configuration;
using Dpu.Keeper;
using Dpu.Linux;
using Dpu.Proto.V1;

namespace Dpu.Ctl.Commands;

/// <summary><c>dpuctl view</c>: what daemons see that work with hosts.</summary>
internal static partial class ViewCommands
{
    private const string Prefix = "views/";

    public static Command Build(CommandTree.Runner runner)
    {
        var command = new Command("view", "Views: what daemons see that work with the files and processes of hosts");
        var list = new Command("list", "List views, those that are there and those that files describe");
        runner.Set(list, ListAsync);
        command.Add(list);

        Argument<string> Which()
        {
            var which = new Argument<string>("VIEW") { Description = "A view's name: its file's without .json" };
            which.Completes(DynamicValues.Views);
            return which;
        }

        Argument<string> shown = Which();
        var show = new Command("show", "Show a view: its first process, mounts, and calls that were intercepted") { shown };
        runner.Set(show, (context, cancellation) => ShowAsync(context, context.Parsed.GetRequiredValue(shown), cancellation));
        command.Add(show);

        Argument<string> created = Which();
        var create = new Command("create", "Make a view as its file describes it; one that is there stays as it is") { created };
        runner.Set(create, (context, cancellation) => CreateAsync(context, context.Parsed.GetRequiredValue(created), cancellation));
        command.Add(create);

        Argument<string> deleted = Which();
        var force = new Option<bool>("--force") { Description = "Also where processes run in it, which are killed; what they stand for on hosts goes on" };
        var delete = new Command("delete", "End a view") { deleted, force };
        runner.Set(delete, (context, cancellation) => DeleteAsync(context, context.Parsed.GetRequiredValue(deleted), context.Parsed.GetValue(force), cancellation));
        command.Add(delete);

        Argument<string> entered = Which();
        var program = new Argument<string[]>("PROGRAM") { Description = "A program and its arguments, behind --; without it a shell", Arity = ArgumentArity.ZeroOrMore };
        var enter = new Command("enter", "Run a program in a view, which is made where it is not there") { entered, program };
        runner.Set(enter, (context, cancellation) => EnterAsync(context, context.Parsed.GetRequiredValue(entered), context.Parsed.GetValue(program) ?? [], cancellation));
        command.Add(enter);

        var files = new Argument<string[]>("FILE") { Description = "Files that describe views", Arity = ArgumentArity.OneOrMore };
        var check = new Command("check", "Check files that describe views, without a runtime") { files };
        runner.Set(check, context => Check(context, context.Parsed.GetRequiredValue(files)));
        command.Add(check);
        return command;
    }

    private static async Task<int> ListAsync(CtlContext context, CancellationToken cancellation)
    {
        List<View> views = await Pages.ViewsAsync(context.Connection, cancellation).ConfigureAwait(false);
        if (context.Json)
        {
            context.WriteJson(json => JsonOutput.Array(json, "views", views, Write));
            return ExitCodes.Success;
        }

        if (views.Count == 0)
        {
            context.Say($"No views; one is described by a file in {ViewConfiguration.DefaultFolder}, or where the runtime's viewsFolder says.");
            return ExitCodes.Success;
        }

        var table = new Table("VIEW", "STATE", "INIT", "PROCESSES", "AGE", "MOUNTS", "CALLS", "NOTE");
        foreach (View view in views)
        {
            bool isThere = view.InitPid != 0;
            table.Add(
                States.Id(view.Name),
                StateOf(view),
                isThere ? view.InitPid.ToString(CultureInfo.InvariantCulture) : "-",
                isThere ? view.Processes.ToString(CultureInfo.InvariantCulture) : "-",
                isThere ? Human.Age(view.CreateTime, context.Now) : "-",
                view.Mounts.Count.ToString(CultureInfo.InvariantCulture),
                view.Calls.Sum(call => (long)call.Intercepted).ToString(CultureInfo.InvariantCulture),
                Human.Clean(NoteOf(view)));
        }

        table.WriteTo(context.Output, context.WithColor);
        return ExitCodes.Success;
    }

    private static async Task<int> ShowAsync(CtlContext context, string name, CancellationToken cancellation)
    {
        View view = await context.Connection.Views.GetViewAsync(new GetViewRequest { Name = Prefix + name }, context.Connection.Options(cancellation));
        if (context.Json)
        {
            context.WriteJson(json => Write(json, view));
            return ExitCodes.Success;
        }

        context.Output.WriteLine($"View      {Human.Clean(name)}: {StateOf(view)}{(view.InitPid != 0 ? $", first process {view.InitPid}, {view.Processes} others, for {Human.Age(view.CreateTime, context.Now)}" : "")}");
        context.Output.WriteLine($"File      {Human.Clean(view.File)}");
        if (NoteOf(view) is { Length: > 0 } note)
        {
            context.Output.WriteLine($"Note      {Human.Clean(note)}");
        }

        if (view.Hostname.Length > 0)
        {
            context.Output.WriteLine($"Hostname  {Human.Clean(view.Hostname)}");
        }

        if (view.Mounts.Count > 0)
        {
            context.Output.WriteLine();
            var mounts = new Table("TARGET", "SOURCE", "ACCESS", "STATE");
            foreach (ViewMount mount in view.Mounts)
            {
                mounts.Add(Human.Clean(mount.Target), Human.Clean(mount.Source), mount.ReadOnly ? "read-only" : "read-write", view.InitPid == 0 ? "-" : mount.Problem.Length > 0 ? Human.Clean(mount.Problem) : "mounted");
            }

            mounts.WriteTo(context.Output, context.WithColor);
        }

        if (view.Calls.Count > 0)
        {
            context.Output.WriteLine();
            var calls = new Table("CALL", "INTERCEPTED", "DONE", "FAILED");
            foreach (ViewCall call in view.Calls)
            {
                calls.Add(Human.Clean(call.Name), Number(call.Intercepted), Number(call.Done), Number(call.Failed));
            }

            calls.WriteTo(context.Output, context.WithColor);
        }

        return ExitCodes.Success;
    }

    private static async Task<int> CreateAsync(CtlContext context, string name, CancellationToken cancellation)
    {
        View view = await context.Connection.Views.CreateViewAsync(new CreateViewRequest { Name = Prefix + name }, context.Connection.Options(cancellation));
        if (context.Json)
        {
            context.WriteJson(json => Write(json, view));
        }

        context.Say(Human.Clean($"View {name} is there; its first process is {view.InitPid}{(view.Changed ? ". Its file says something else by now: delete and create it, to have that" : "")}"));
        return ExitCodes.Success;
    }

    private static async Task<int> DeleteAsync(CtlContext context, string name, bool force, CancellationToken cancellation)
    {
        _ = await context.Connection.Views.DeleteViewAsync(new DeleteViewRequest { Name = Prefix + name, Force = force }, context.Connection.Options(cancellation));
        if (context.Json)
        {
            context.WriteJson(json => json.WriteString("name", name));
        }

        context.Say(Human.Clean($"View {name} has ended"));
        return ExitCodes.Success;
    }

    // The program takes this one's place, with its terminal.
    private static async Task<int> EnterAsync(CtlContext context, string name, string[] program, CancellationToken cancellation)
    {
        if (!context.IsLocal)
        {
            throw new CtlException(ExitCodes.Usage, "a view can be entered on its own DPU only: run dpuctl there, without --address");
        }

        View view = await context.Connection.Views.GetViewAsync(new GetViewRequest { Name = Prefix + name }, context.Connection.Options(cancellation));
        string run = NativeProgram.PathOf("dpu-run");
        string shell = Environment.GetEnvironmentVariable("SHELL") is { Length: > 0 } own ? own : "/bin/sh";
        int error = Execute.Replace(run, ["dpu-run", "--socket", view.Socket, name, "--", .. program.Length > 0 ? program : [shell]]);
        throw new CtlException(ExitCodes.Failure, $"{run} cannot be executed: {System.Runtime.InteropServices.Marshal.GetPInvokeErrorMessage(error)}");
    }

    private static int Check(CtlContext context, string[] files)
    {
        List<ConfigurationError> errors = [];
        foreach (string file in files)
        {
            ConfigurationResult<ViewConfiguration> read = ViewConfiguration.Load(Path.GetFullPath(file));
            errors.AddRange(read.Errors);
            foreach (ConfigurationError warning in read.Warnings)
            {
                context.Error.WriteLine($"warning: {warning}");
            }
        }

        foreach (ConfigurationError error in errors)
        {
            context.Error.WriteLine(Human.Clean(error.ToString()));
        }

        if (context.Json)
        {
            context.WriteJson(json => JsonOutput.Strings(json, "errors", errors.Select(error => error.ToString())));
        }

        context.Say(errors.Count == 0 ? "All files are right." : $"{errors.Count} errors.");
        return errors.Count == 0 ? ExitCodes.Success : ExitCodes.Failure;
    }

    private static string NoteOf(View view) => view.Problem.Length > 0 ? view.Problem
        : view.Mounts.FirstOrDefault(mount => mount.Problem.Length > 0) is { } stale ? $"{stale.Target}: {stale.Problem}"
        : view.Changed ? "its file says something else by now" : "";

    private static string StateOf(View view) => view.State switch
    {
        ViewState.Absent => view.Problem.Length > 0 ? "wrong" : "absent",
        ViewState.Ready => "ready",
        ViewState.Stale => "stale",
        _ => "?",
    };

    private static string Number(ulong number) => number.ToString(CultureInfo.InvariantCulture);

    private static void Write(Utf8JsonWriter json, View view)
    {
        json.WriteString("name", States.Id(view.Name));
        json.WriteString("state", StateOf(view));
        json.WriteString("file", view.File);
        json.WriteString("note", NoteOf(view));
        json.WriteNumber("initPid", view.InitPid);
        json.WriteNumber("processes", view.Processes);
        JsonOutput.Time(json, "createTime", view.CreateTime);
        json.WriteString("hostname", view.Hostname);
        json.WriteBoolean("changed", view.Changed);
        JsonOutput.Array(json, "mounts", view.Mounts, (writer, mount) =>
        {
            writer.WriteString("target", mount.Target);
            writer.WriteString("source", mount.Source);
            writer.WriteBoolean("readOnly", mount.ReadOnly);
            writer.WriteString("problem", mount.Problem);
        });
        JsonOutput.Array(json, "calls", view.Calls, (writer, call) =>
        {
            writer.WriteString("name", call.Name);
            writer.WriteNumber("intercepted", call.Intercepted);
            writer.WriteNumber("done", call.Done);
            writer.WriteNumber("failed", call.Failed);
        });
    }
}
