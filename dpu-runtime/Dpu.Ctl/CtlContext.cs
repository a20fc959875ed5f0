using System.CommandLine;
using System.Text.Json;
using Dpu.Ctl.Connection;
using Dpu.Ctl.Output;
using Dpu.Hosting;
using Dpu.Link;

namespace Dpu.Ctl;

/// <summary>What a command works with: the global options, the output, the connection. One command long.</summary>
internal sealed class CtlContext(ParseResult parsed, GlobalOptions options, TextWriter output, TextWriter error, ConsoleTraits traits)
    : IDisposable
{
    private ControlConnection? _connection;

    public TextWriter Output { get; } = output;

    public TextWriter Error { get; } = error;

    public bool Json { get; } = parsed.GetValue(options.Json);

    public bool Quiet { get; } = parsed.GetValue(options.Quiet);

    public bool WithColor { get; } = traits.AllowsColor && !parsed.GetValue(options.NoColor);

    /// <summary>Whether the output is a terminal that can be drawn on.</summary>
    public bool IsScreen { get; } = traits.IsScreen;

    public TimeSpan Timeout { get; } = parsed.GetValue(options.Timeout).Span;

    public ParseResult Parsed { get; } = parsed;

    public DateTimeOffset Now { get; } = TimeProvider.System.GetUtcNow();

    /// <summary>Whether the runtime is on this machine, so that its paths are ours.</summary>
    public bool IsLocal => Parsed.GetValue(options.Address) is null;

    /// <summary>The connection to the runtime; it connects with the first call.</summary>
    public ControlConnection Connection => _connection ??= Connect();

    /// <summary>Why connecting failed; null where nothing was tried or it did not.</summary>
    public CtlException? ConnectFailure => _connection?.Failure;

    /// <summary>Prints what was done, unless asked to be quiet or to print JSON.</summary>
    public void Say(string text)
    {
        if (!Quiet && !Json)
        {
            Output.WriteLine(text);
        }
    }

    /// <summary>Prints the one JSON object.</summary>
    public void WriteJson(Action<Utf8JsonWriter> members) => JsonOutput.Write(Output, indented: true, members);

    public void Dispose() => _connection?.Dispose();

    private static string DefaultSocket() =>
        !File.Exists(GlobalOptions.RuntimeSocket) && File.Exists(GlobalOptions.AgentSocket) ? GlobalOptions.AgentSocket : GlobalOptions.RuntimeSocket;

    private ControlConnection Connect()
    {
        if (Parsed.GetValue(options.Address) is not { } address)
        {
            return ControlConnection.OverUnix(Parsed.GetValue(options.Socket) ?? DefaultSocket(), Timeout);
        }

        if (!LinkEndpoint.TryParse(address, out LinkEndpoint? endpoint) || endpoint.Transport != LinkTransport.Tcp)
        {
            throw new CtlException(ExitCodes.Usage, $"--address '{address}' is no TCP endpoint; allowed: tcp://HOST:PORT");
        }

        string Needed(Option<string?> option) => Parsed.GetValue(option)
            ?? throw new CtlException(ExitCodes.Usage, $"--address needs {option.Name}: control over TCP is served with mutual TLS only");
        try
        {
            LinkCredentials credentials = LinkCredentials.Load(new LinkCredentialFiles
            {
                Certificate = Needed(options.Certificate),
                Key = Needed(options.Key),
                Authority = Needed(options.Authority),
                Revocations = Parsed.GetValue(options.Revocations),
            });
            return ControlConnection.OverTls(endpoint, Parsed.GetValue(options.Server) ?? endpoint.Host, credentials, Timeout);
        }
        catch (LinkCredentialException e)
        {
            throw new CtlException(ExitCodes.Usage, e.Message, e);
        }
    }
}
