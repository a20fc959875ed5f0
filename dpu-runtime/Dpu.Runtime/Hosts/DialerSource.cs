using Dpu.Hosting.Configuration;
using Dpu.Link;

namespace Dpu.Runtime.Hosts;

/// <summary>Makes the dialler of a host. Thread-safe.</summary>
/// <param name="credentials">The runtime's certificate; null where every host is at a unix socket.</param>
/// <param name="name">The runtime's name.</param>
/// <param name="time">The clock.</param>
public sealed class DialerSource(LinkCredentials? credentials, string name, TimeProvider time)
{
    /// <summary>A dialler that knows which uid the host's agent has where it is a process of this machine.</summary>
    public LinkDialer For(HostConfiguration host) => new(credentials, new LinkDialerOptions
    {
        Local = new LinkLocal { Name = name },
        ListenerUid = host.Uid ?? 0,
        Time = time,
    });
}
