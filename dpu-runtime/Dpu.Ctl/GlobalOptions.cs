using System.CommandLine;

namespace Dpu.Ctl;

/// <summary>The options that every command has.</summary>
internal sealed class GlobalOptions
{
    public const string RuntimeSocket = "/run/dpu/runtime.sock";
    public const string AgentSocket = "/run/dpu/agent.sock";

    public Option<string?> Socket { get; } = new("--socket")
    {
        Description = $"The daemon's control socket [default: {RuntimeSocket}; on a host {AgentSocket}]",
        HelpName = "PATH",
        Recursive = true,
    };

    public Option<string?> Address { get; } = new("--address")
    {
        Description = "Reach the runtime over TCP with mutual TLS instead, such as tcp://192.0.2.2:7444; needs --cert, --key and --ca",
        HelpName = "ENDPOINT",
        Recursive = true,
    };

    public Option<string?> Server { get; } = new("--server")
    {
        Description = "The name in the runtime's certificate (default: the host in --address)",
        HelpName = "NAME",
        Recursive = true,
    };

    public Option<string?> Certificate { get; } = new("--cert")
    {
        Description = "Your operator certificate, for --address",
        HelpName = "FILE",
        Recursive = true,
    };

    public Option<string?> Key { get; } = new("--key")
    {
        Description = "Its private key",
        HelpName = "FILE",
        Recursive = true,
    };

    public Option<string?> Authority { get; } = new("--ca")
    {
        Description = "The authority's certificate",
        HelpName = "FILE",
        Recursive = true,
    };

    public Option<string?> Revocations { get; } = new("--crl")
    {
        Description = "The authority's revocation list",
        HelpName = "FILE",
        Recursive = true,
    };

    public Option<DurationValue> Timeout { get; } = Durations.Option("--timeout", "Give up after this time", TimeSpan.FromSeconds(30), recursive: true);

    public Option<bool> Json { get; } = new("--json")
    {
        Description = "Print one JSON object (for events: one a line)",
        Recursive = true,
    };

    public Option<bool> NoColor { get; } = new("--no-color")
    {
        Description = "Use no colours; so does a set NO_COLOR",
        Recursive = true,
    };

    public Option<bool> Quiet { get; } = new("--quiet", "-q")
    {
        Description = "Print nothing but what was asked for, and errors",
        Recursive = true,
    };

    public IEnumerable<Option> All =>
        [Socket, Address, Server, Certificate, Key, Authority, Revocations, Timeout, Json, NoColor, Quiet];
}
