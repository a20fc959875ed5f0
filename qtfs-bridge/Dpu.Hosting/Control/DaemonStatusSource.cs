using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using Dpu.Link;
using Dpu.Proto.V1;
using Google.Protobuf.WellKnownTypes;

namespace Dpu.Hosting.Control;

/// <summary>What both daemons tell of themselves. Thread-safe.</summary>
/// <param name="program">The program, such as <c>dpu-runtime</c>.</param>
/// <param name="name">What it calls itself.</param>
/// <param name="configurationFile">The file it was started with.</param>
/// <param name="credentials">Its certificate; null where it uses unix endpoints only.</param>
/// <param name="time">The clock.</param>
public sealed class DaemonStatusSource(string program, string name, string configurationFile, LinkCredentials? credentials, TimeProvider time)
{
    private static readonly DateTimeOffset s_started = StartTime();

    /// <summary>The file it was started with.</summary>
    public string ConfigurationFile => configurationFile;

    /// <summary>The daemon now.</summary>
    public DaemonStatus Get()
    {
        var status = new DaemonStatus
        {
            Program = program,
            Version = ProgramVersion.Current,
            Name = name,
            Pid = Environment.ProcessId,
            StartTime = Timestamp.FromDateTimeOffset(s_started),
            Architecture = RuntimeInformation.ProcessArchitecture.ToString().ToLowerInvariant(),
            Kernel = Environment.OSVersion.Version.ToString(),
            ConfigurationFile = configurationFile,
        };
        if (credentials is not null)
        {
            AddCertificate(status, credentials);
        }

        return status;
    }

    private static DateTimeOffset StartTime()
    {
        using var self = Process.GetCurrentProcess();
        return self.StartTime.ToUniversalTime();
    }

    private void AddCertificate(DaemonStatus status, LinkCredentials own)
    {
        DateTimeOffset now = time.GetUtcNow();
        status.Certificate = new Certificate
        {
            Name = own.Identity.Name,
            Role = PeerIdentity.RoleText(own.Identity.Role),
            Serial = own.Current.Certificate.SerialNumber,
            NotBefore = Timestamp.FromDateTimeOffset(own.NotBefore),
            NotAfter = Timestamp.FromDateTimeOffset(own.NotAfter),
            Sha256 = own.Current.Certificate.GetCertHashString(HashAlgorithmName.SHA256),
        };
        string renew = $"issue a new one with 'dpuctl pki rotate {own.Identity.Name}' and put it in place; no restart is needed";
        if (now > own.NotAfter)
        {
            status.Notices.Add(Tell(Severity.Error, "certificate-expired", $"the certificate of '{own.Identity.Name}' expired on {own.NotAfter:u}; {renew}"));
        }
        else if (now > own.NotAfter - LinkCredentials.ExpiryWarning)
        {
            status.Notices.Add(Tell(Severity.Warning, "certificate-expires", $"the certificate of '{own.Identity.Name}' expires on {own.NotAfter:u}; {renew}"));
        }
        else if (now < own.NotBefore)
        {
            status.Notices.Add(Tell(Severity.Error, "certificate-not-yet-valid", $"the certificate of '{own.Identity.Name}' is valid from {own.NotBefore:u}, local time is {now:u}; set the clock"));
        }

        if (own.ReloadError is { Length: > 0 } error)
        {
            status.Notices.Add(Tell(Severity.Error, "certificate-reload-failed", $"the certificate's files changed and cannot be used, the old ones stay in force: {error}"));
        }
    }

    private static Notice Tell(Severity severity, string code, string message) => new() { Severity = severity, Code = code, Message = message };
}
