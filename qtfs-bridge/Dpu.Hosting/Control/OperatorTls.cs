using System.Net.Security;
using Dpu.Link;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Server.Kestrel.Https;
using Microsoft.Extensions.Logging;

namespace Dpu.Hosting.Control;

/// <summary>
/// Mutual TLS for operators on TCP: 1.3, certificates of our authority with role <c>operator</c> and a listed name.
/// Thread-safe; certificates and list are asked for each connection, so that both may change while the daemon runs.
/// </summary>
/// <param name="credentials">Gives the daemon's present certificate and whom it trusts.</param>
/// <param name="operators">Gives the names that may connect.</param>
/// <param name="clock">The clock that judges certificates.</param>
internal sealed class OperatorTls(
    Func<CredentialSnapshot> credentials, Func<IReadOnlyList<string>> operators, TimeProvider clock)
{
    private static readonly TimeSpan _handshakeLimit = TimeSpan.FromSeconds(5);

    public TlsHandshakeCallbackOptions CallbackOptions(ILogger logger) => new()
    {
        HandshakeTimeout = _handshakeLimit,
        OnConnection = handshake =>
        {
            ConnectionContext connection = handshake.Connection;
            SslServerAuthenticationOptions options = LinkTls.ServerOptions(
                credentials(), clock, verdict => Admit(connection, verdict, logger));
            options.ApplicationProtocols = [SslApplicationProtocol.Http2];
            return ValueTask.FromResult(options);
        },
    };

    private bool Admit(ConnectionContext connection, CertificateVerdict verdict, ILogger logger)
    {
        string? refusal = verdict.Identity switch
        {
            null => verdict.Reason,
            { Role: not LinkRole.Operator } other => $"{other} is not an operator; issue a certificate with dpuctl pki issue operator NAME",
            { } known when !operators().Contains(known.Name) => $"{known} is none of control.operators",
            _ => null,
        };
        if (refusal is not null)
        {
            HostingLog.ControlRefused(logger, $"{connection.RemoteEndPoint}: {refusal}");
            return false;
        }

        connection.Features.Set(new ControlPeer(ControlPeerKind.Operator, verdict.Identity!.Name));
        return true;
    }
}
