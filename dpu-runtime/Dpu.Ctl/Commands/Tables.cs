using System.Globalization;
using Dpu.Ctl.Output;
using Dpu.Proto.V1;

namespace Dpu.Ctl.Commands;

/// <summary>Tables that several commands print.</summary>
internal static class Tables
{
    public static void Hosts(CtlContext context, IReadOnlyCollection<Host> hosts)
    {
        if (hosts.Count == 0)
        {
            context.Say("No hosts; name them under \"hosts\" in /etc/dpu/runtime.json.");
            return;
        }

        var table = new Table("HOST", "STATE", "SINCE", "RTT", "ENDPOINT", "AGENT", "NOTE");
        foreach (Host host in hosts.OrderBy(h => h.Name, StringComparer.Ordinal))
        {
            table.Add(
                States.Id(host.Name),
                States.Cell(host.State),
                Human.Age(host.StateTime, context.Now),
                Human.Duration(host.RoundTrip),
                host.Endpoint,
                host.Agent?.Version,
                host.LastError);
        }

        table.WriteTo(context.Output, context.WithColor);
    }

    public static void Mounts(CtlContext context, IReadOnlyCollection<Mount> mounts)
    {
        if (mounts.Count == 0)
        {
            context.Say("No mounts; make one with dpuctl mount HOST:EXPORT TARGET.");
            return;
        }

        var table = new Table("TARGET", "SOURCE", "STATE", "ACCESS", "LANES", "REQUESTS", "READ", "WRITTEN", "NOTE");
        foreach (Mount mount in mounts.OrderBy(m => m.Target, StringComparer.Ordinal))
        {
            MountCounters counters = mount.Counters ?? new MountCounters();
            table.Add(
                mount.Target,
                $"{mount.Host}:{mount.Export}",
                States.Cell(mount.State),
                mount.ReadOnly ? "read-only" : "read-write",
                mount.Lanes.ToString(CultureInfo.InvariantCulture),
                counters.Requests.ToString(CultureInfo.InvariantCulture),
                Human.Bytes(counters.BytesReceived),
                Human.Bytes(counters.BytesSent),
                mount.LastError);
        }

        table.WriteTo(context.Output, context.WithColor);
    }

    public static void Sessions(CtlContext context, IReadOnlyCollection<Session> sessions)
    {
        if (sessions.Count == 0)
        {
            context.Say("No sessions: no DPU has mounted anything.");
            return;
        }

        var table = new Table("DPU", "SINCE", "MOUNTS", "CONNECTIONS", "NODES", "HANDLES", "REQUESTS", "REFUSED");
        foreach (Session session in sessions)
        {
            table.Add(
                session.Peer,
                Human.Age(session.StartTime, context.Now),
                session.Mounts.ToString(CultureInfo.InvariantCulture),
                session.Connections.ToString(CultureInfo.InvariantCulture),
                session.OpenNodes.ToString(CultureInfo.InvariantCulture),
                session.OpenHandles.ToString(CultureInfo.InvariantCulture),
                session.Requests.ToString(CultureInfo.InvariantCulture),
                session.Refused.ToString(CultureInfo.InvariantCulture));
        }

        table.WriteTo(context.Output, context.WithColor);
    }

    public static void Exports(CtlContext context, IReadOnlyCollection<Export> exports)
    {
        if (exports.Count == 0)
        {
            context.Say("No exports; name them under \"exports\" in /etc/dpu/host-agent.json.");
            return;
        }

        var table = new Table("EXPORT", "PATH", "ACCESS", "DPUS");
        foreach (Export export in exports)
        {
            table.Add(States.Id(export.Name), export.Path, export.ReadOnly ? "read-only" : "read-write", string.Join(",", export.Peers));
        }

        table.WriteTo(context.Output, context.WithColor);
    }

    public static void Notices(CtlContext context, string program, IEnumerable<Notice> notices)
    {
        foreach (Notice notice in notices)
        {
            context.Output.WriteLine($"{States.Word(notice.Severity)}: {Human.Clean(program)}: {Human.Clean(notice.Message)} [{Human.Clean(notice.Code)}]");
        }
    }

    public static void Daemon(CtlContext context, DaemonStatus? daemon)
    {
        if (daemon is null)
        {
            return;
        }

        context.Output.WriteLine(Human.Clean(string.Create(
            CultureInfo.InvariantCulture,
            $"{daemon.Program} {daemon.Version}, name {daemon.Name}, pid {daemon.Pid}, up {Human.Age(daemon.StartTime, context.Now)}, {daemon.Architecture}, Linux {daemon.Kernel}")));
        if (daemon.Certificate is { } certificate)
        {
            string remaining = certificate.NotAfter is null
                ? "-"
                : Human.Duration(TimeSpan.FromSeconds(Math.Clamp(certificate.NotAfter.Seconds - context.Now.ToUnixTimeSeconds(), -1e9, 1e10)));
            context.Output.WriteLine(Human.Clean($"certificate {certificate.Role}/{certificate.Name}, valid until {Human.Time(certificate.NotAfter)} ({remaining})"));
        }
    }
}
