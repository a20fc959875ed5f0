using System.Formats.Asn1;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using Grpc.Core;

namespace Dpu.Rpc.Server;

/// <summary>What a client's certificate says, in the property names of gRPC's core (grpc_security_constants.h).</summary>
internal static class PeerAuthentication
{
    public const string CommonName = "x509_common_name";
    public const string SubjectAlternativeName = "x509_subject_alternative_name";

    private const string SubjectAlternativeNameOid = "2.5.29.17";

    // RFC 5280, 4.2.1.6: GeneralName is a choice; these three are what peers are named by.
    private const int DnsNameTag = 2;
    private const int UriTag = 6;
    private const int IpAddressTag = 7;

    /// <summary>The names of a certificate that the TLS layer has verified; nobody for null.</summary>
    public static AuthContext Describe(X509Certificate2? certificate)
    {
        var properties = new Dictionary<string, List<AuthProperty>>();
        if (certificate is null)
        {
            return new AuthContext(null, properties);
        }

        var alternatives = new List<AuthProperty>();
        foreach (X509Extension extension in certificate.Extensions)
        {
            if (extension.Oid?.Value == SubjectAlternativeNameOid)
            {
                foreach (string name in ReadNames(extension.RawData))
                {
                    alternatives.Add(AuthProperty.Create(SubjectAlternativeName, Encoding.UTF8.GetBytes(name)));
                }
            }
        }

        if (alternatives.Count > 0)
        {
            properties[SubjectAlternativeName] = alternatives;
        }

        string commonName = certificate.GetNameInfo(X509NameType.SimpleName, forIssuer: false);
        if (commonName.Length > 0)
        {
            properties[CommonName] = [AuthProperty.Create(CommonName, Encoding.UTF8.GetBytes(commonName))];
        }

        string? identity = alternatives.Count > 0 ? SubjectAlternativeName : commonName.Length > 0 ? CommonName : null;
        return new AuthContext(identity, properties);
    }

    /// <summary>The DNS names, URIs and addresses of a SubjectAltName; none where it is malformed.</summary>
    internal static IReadOnlyList<string> ReadNames(ReadOnlyMemory<byte> extension)
    {
        var names = new List<string>();
        try
        {
            AsnReader sequence = new AsnReader(extension, AsnEncodingRules.DER).ReadSequence();
            while (sequence.HasData)
            {
                Asn1Tag tag = sequence.PeekTag();
                if (tag.TagClass == TagClass.ContextSpecific && tag.TagValue is DnsNameTag or UriTag)
                {
                    names.Add(sequence.ReadCharacterString(UniversalTagNumber.IA5String, tag));
                }
                else if (tag.TagClass == TagClass.ContextSpecific && tag.TagValue == IpAddressTag)
                {
                    byte[] address = sequence.ReadOctetString(tag);
                    if (address.Length is 4 or 16)
                    {
                        names.Add(new System.Net.IPAddress(address).ToString());
                    }
                }
                else
                {
                    sequence.ReadEncodedValue();
                }
            }

            return names;
        }
        catch (AsnContentException)
        {
            // Expected of a certificate made wrongly on purpose: no half of its names counts.
            return [];
        }
    }
}
