using System.Diagnostics.CodeAnalysis;
using System.Formats.Asn1;
using System.Security.Cryptography.X509Certificates;

namespace Dpu.Link;

/// <summary>Who a certificate speaks for: the SAN URI <c>dpu://ROLE/NAME</c>. Immutable.</summary>
/// <param name="Role">host, dpu or operator.</param>
/// <param name="Name">The name; see <see cref="IsName"/>.</param>
public sealed record PeerIdentity(LinkRole Role, string Name)
{
    /// <summary>What a name may look like, for messages.</summary>
    public const string NameRule = "1 to 63 of a-z, 0-9, '.' and '-', first and last a letter or digit";

    private const string Scheme = "dpu://";
    private const string SubjectAlternativeName = "2.5.29.17";

    /// <summary>Whether <paramref name="name"/> may name a peer: [a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?.</summary>
    public static bool IsName([NotNullWhen(true)] string? name)
    {
        if (name is not { Length: > 0 and <= 63 } || name[0] is '.' or '-' || name[^1] is '.' or '-')
        {
            return false;
        }

        foreach (var c in name)
        {
            if (!char.IsAsciiLetterLower(c) && !char.IsAsciiDigit(c) && c is not ('.' or '-'))
            {
                return false;
            }
        }

        return true;
    }

    /// <summary>The role as it stands in the URI.</summary>
    public static string RoleText(LinkRole role) => role switch
    {
        LinkRole.Host => "host",
        LinkRole.Dpu => "dpu",
        _ => "operator",
    };

    /// <summary>Reads <c>dpu://ROLE/NAME</c>.</summary>
    public static bool TryParse(string? uri, [NotNullWhen(true)] out PeerIdentity? identity)
    {
        identity = null;
        if (uri is null || !uri.StartsWith(Scheme, StringComparison.Ordinal))
        {
            return false;
        }

        var rest = uri.AsSpan(Scheme.Length);
        var slash = rest.IndexOf('/');
        if (slash < 0)
        {
            return false;
        }

        LinkRole? role = rest[..slash] switch
        {
            "host" => LinkRole.Host,
            "dpu" => LinkRole.Dpu,
            "operator" => LinkRole.Operator,
            _ => null,
        };
        var name = rest[(slash + 1)..].ToString();
        if (role is null || !IsName(name))
        {
            return false;
        }

        identity = new PeerIdentity(role.Value, name);
        return true;
    }

    /// <summary>The one dpu:// name of a certificate; null where it has none, several, or a malformed extension.</summary>
    public static PeerIdentity? Of(X509Certificate2 certificate)
    {
        ArgumentNullException.ThrowIfNull(certificate);
        foreach (var extension in certificate.Extensions)
        {
            if (extension.Oid?.Value == SubjectAlternativeName)
            {
                return OfExtension(extension.RawData);
            }
        }

        return null;
    }

    /// <summary>The one dpu:// name of a SubjectAltName extension's value (RFC 5280 4.2.1.6).</summary>
    public static PeerIdentity? OfExtension(ReadOnlyMemory<byte> der)
    {
        var uniformResourceIdentifier = new Asn1Tag(TagClass.ContextSpecific, 6);
        try
        {
            PeerIdentity? found = null;
            var names = new AsnReader(der, AsnEncodingRules.DER).ReadSequence();
            while (names.HasData)
            {
                if (!names.PeekTag().HasSameClassAndValue(uniformResourceIdentifier))
                {
                    names.ReadEncodedValue();
                    continue;
                }

                var uri = names.ReadCharacterString(UniversalTagNumber.IA5String, uniformResourceIdentifier);
                if (!uri.StartsWith(Scheme, StringComparison.Ordinal))
                {
                    continue;
                }

                // Two names would let a check look at one and the policy at the other.
                if (found is not null || !TryParse(uri, out found))
                {
                    return null;
                }
            }

            return found;
        }
        catch (AsnContentException)
        {
            // Expected from a hostile peer: not a name list at all.
            return null;
        }
    }

    /// <inheritdoc/>
    public override string ToString() => $"{Scheme}{RoleText(Role)}/{Name}";
}
