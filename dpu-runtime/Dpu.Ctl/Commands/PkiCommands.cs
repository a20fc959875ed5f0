using System.CommandLine;
using System.Text.Json;
using Dpu.Ctl.Output;
using Dpu.Hosting;
using Dpu.Link;

namespace Dpu.Ctl.Commands;

/// <summary><c>dpuctl pki …</c>: a certificate authority in a directory. Works without any daemon.</summary>
internal static class PkiCommands
{
    private const string DefaultDirectory = "/etc/dpu/pki";

    public static Command Build(CommandTree.Runner runner)
    {
        var directory = new Option<string>("--dir")
        {
            Description = "The authority's directory",
            HelpName = "DIR",
            DefaultValueFactory = _ => DefaultDirectory,
            Recursive = true,
        };
        return new Command("pki", "Make and manage the certificates of hosts, DPUs and operators")
        {
            directory,
            Init(runner, directory),
            Issue(runner, directory),
            Rotate(runner, directory),
            Show(runner, directory),
            Revoke(runner, directory),
        };
    }

    private static Command Init(CommandTree.Runner runner, Option<string> directory)
    {
        var name = new Option<string>("--name")
        {
            Description = "The authority's name, shown in messages",
            HelpName = "NAME",
            DefaultValueFactory = _ => "dpu authority",
        };
        Option<DurationValue> validity = Durations.Option("--validity", "How long the authority is valid", TimeSpan.FromDays(3650));
        var force = new Option<bool>("--force") { Description = "Replace an authority that is there: every certificate it issued becomes worthless" };
        var command = new Command("init", "Make a new authority") { name, validity, force };
        runner.Set(command, context => Guarded(() =>
        {
            CertificateAuthority authority = CertificateAuthority.Init(
                context.Parsed.GetRequiredValue(directory),
                context.Parsed.GetRequiredValue(name),
                context.Parsed.GetValue(validity).Span,
                context.Parsed.GetValue(force));
            if (context.Json)
            {
                context.WriteJson(json =>
                {
                    json.WriteString("certificate", authority.CertificatePath);
                    json.WriteString("key", authority.KeyPath);
                    json.WriteString("revocations", authority.RevocationsPath);
                });
            }

            context.Say($"Made the authority {authority.CertificatePath}");
            context.Say($"Keep {authority.KeyPath} on this machine, and safe: whoever has it can be any host or DPU.");
            return ExitCodes.Success;
        }));
        return command;
    }

    private static Command Issue(CommandTree.Runner runner, Option<string> directory)
    {
        var role = new Argument<string>("ROLE") { Description = "What it is for: host, dpu or operator" };
        _ = role.AcceptOnlyFromAmong("host", "dpu", "operator");
        var name = new Argument<string>("NAME") { Description = "Whom it names, such as host1" };
        Option<DurationValue> validity = Validity();
        var address = new Option<string[]>("--san")
        {
            Description = "A host name or IP address for programs that check those; may be repeated",
            HelpName = "ADDRESS",
        };
        var command = new Command("issue", "Issue a certificate and its key") { role, name, validity, address };
        runner.Set(command, context => Guarded(() => Report(
            context,
            "Issued",
            CertificateAuthority.Open(context.Parsed.GetRequiredValue(directory)).Issue(
                Role(context.Parsed.GetRequiredValue(role)),
                context.Parsed.GetRequiredValue(name),
                context.Parsed.GetValue(validity).Span,
                context.Parsed.GetValue(address) ?? []))));
        return command;
    }

    private static Command Rotate(CommandTree.Runner runner, Option<string> directory)
    {
        var name = new Argument<string>("NAME") { Description = "Whose certificate" };
        Option<DurationValue> validity = Validity();
        var command = new Command("rotate", "Issue a new certificate and key to a name that has one; the old one stays valid until it expires or is revoked")
        {
            name, validity,
        };
        runner.Set(command, context => Guarded(() =>
        {
            string wanted = context.Parsed.GetRequiredValue(name);
            CertificateAuthority authority = CertificateAuthority.Open(context.Parsed.GetRequiredValue(directory));
            CertificateInfo present = authority.Show().LastOrDefault(c => c.Identity.Name == wanted && c.Newest)
                ?? throw new CtlException(ExitCodes.NotFound, $"'{wanted}' has no certificate here; issue one with dpuctl pki issue ROLE {wanted}");
            return Report(context, "Issued", authority.Issue(
                present.Identity.Role, wanted, context.Parsed.GetValue(validity).Span, addresses: null, rotate: true));
        }));
        return command;
    }

    private static Command Show(CommandTree.Runner runner, Option<string> directory)
    {
        var command = new Command("show", "List the certificates issued");
        runner.Set(command, context => Guarded(() =>
        {
            IReadOnlyList<CertificateInfo> all = CertificateAuthority.Open(context.Parsed.GetRequiredValue(directory)).Show();
            if (context.Json)
            {
                context.WriteJson(json => JsonOutput.Array(json, "certificates", all, Write));
                return ExitCodes.Success;
            }

            var table = new Table("NAME", "ROLE", "STATUS", "EXPIRES", "IN", "NEWEST", "SERIAL");
            foreach (CertificateInfo info in all)
            {
                TimeSpan remaining = info.NotAfter - context.Now;
                bool isSoon = remaining < LinkCredentials.ExpiryWarning;
                table.Add(
                    info.Identity.Name,
                    PeerIdentity.RoleText(info.Identity.Role),
                    new Cell(Word(info.Status), info.Status == CertificateStatus.Valid ? CellStyle.Good : CellStyle.Bad),
                    info.NotAfter.ToString("yyyy-MM-dd", System.Globalization.CultureInfo.InvariantCulture),
                    new Cell(Human.Duration(remaining), isSoon ? CellStyle.Doubtful : CellStyle.Plain),
                    info.Newest ? "yes" : "no",
                    info.Serial);
            }

            table.WriteTo(context.Output, context.WithColor);
            return ExitCodes.Success;
        }));
        return command;
    }

    private static Command Revoke(CommandTree.Runner runner, Option<string> directory)
    {
        var which = new Argument<string>("NAME|SERIAL") { Description = "A name (all its certificates) or one serial number" };
        var command = new Command("revoke", "Revoke certificates") { which };
        runner.Set(command, context => Guarded(() =>
        {
            CertificateAuthority authority = CertificateAuthority.Open(context.Parsed.GetRequiredValue(directory));
            IReadOnlyList<CertificateInfo> revoked = authority.Revoke(context.Parsed.GetRequiredValue(which));
            if (context.Json)
            {
                context.WriteJson(json => JsonOutput.Array(json, "revoked", revoked, Write));
            }

            foreach (CertificateInfo info in revoked)
            {
                context.Say($"Revoked {info.Identity}, serial {info.Serial}");
            }

            context.Say($"Copy {authority.RevocationsPath} to every host and DPU (tls.revocations); it takes effect there without a restart.");
            return ExitCodes.Success;
        }));
        return command;
    }

    private static Option<DurationValue> Validity() =>
        Durations.Option("--validity", "How long it is valid", TimeSpan.FromDays(365));

    private static LinkRole Role(string text) => text switch
    {
        "host" => LinkRole.Host,
        "dpu" => LinkRole.Dpu,
        _ => LinkRole.Operator,
    };

    private static int Report(CtlContext context, string done, IssuedCertificate issued)
    {
        if (context.Json)
        {
            context.WriteJson(json =>
            {
                json.WriteString("certificate", issued.CertificatePath);
                json.WriteString("key", issued.KeyPath);
                Write(json, issued.Info);
            });
        }

        context.Say($"{done} {issued.CertificatePath} and {issued.KeyPath} for {issued.Info.Identity}, valid until {issued.Info.NotAfter:yyyy-MM-dd}");
        return ExitCodes.Success;
    }

    private static void Write(Utf8JsonWriter json, CertificateInfo info)
    {
        json.WriteString("name", info.Identity.Name);
        json.WriteString("role", PeerIdentity.RoleText(info.Identity.Role));
        json.WriteString("serial", info.Serial);
        json.WriteString("notBefore", info.NotBefore.UtcDateTime);
        json.WriteString("notAfter", info.NotAfter.UtcDateTime);
        json.WriteString("status", Word(info.Status));
        json.WriteBoolean("newest", info.Newest);
    }

    private static string Word(CertificateStatus status) => status switch
    {
        CertificateStatus.Valid => "valid",
        CertificateStatus.NotYetValid => "not-yet-valid",
        CertificateStatus.Expired => "expired",
        CertificateStatus.Revoked => "revoked",
        _ => "other-authority",
    };

    private static int Guarded(Func<int> action)
    {
        try
        {
            return action();
        }
        catch (PkiException e)
        {
            throw new CtlException(ExitCodes.Failure, e.Message, e);
        }
    }
}
