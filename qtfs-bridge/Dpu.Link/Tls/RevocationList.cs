using System.Formats.Asn1;
using System.Numerics;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace Dpu.Link;

/// <summary>A certificate revocation list (RFC 5280 5.1) of our authority: ECDSA with SHA-256, whole, no delta. Immutable.</summary>
public sealed class RevocationList
{
    private const string PemLabel = "X509 CRL";
    private const string EcdsaWithSha256 = "1.2.840.10045.4.3.2";
    private readonly HashSet<string> _serials;
    private readonly byte[] _signed;
    private readonly byte[] _signature;
    private readonly byte[] _issuer;

    private RevocationList(HashSet<string> serials, byte[] signed, byte[] signature, byte[] issuer, DateTimeOffset thisUpdate, DateTimeOffset? nextUpdate)
    {
        _serials = serials;
        _signed = signed;
        _signature = signature;
        _issuer = issuer;
        ThisUpdate = thisUpdate;
        NextUpdate = nextUpdate;
    }

    /// <summary>When it was written.</summary>
    public DateTimeOffset ThisUpdate { get; }

    /// <summary>When a newer one must have replaced it.</summary>
    public DateTimeOffset? NextUpdate { get; }

    /// <summary>How many serial numbers it revokes.</summary>
    public int Count => _serials.Count;

    /// <summary>Reads PEM (label X509 CRL) or DER, without checking the signature.</summary>
    /// <exception cref="FormatException">Neither; the message says why.</exception>
    public static RevocationList Parse(ReadOnlyMemory<byte> file)
    {
        try
        {
            return ParseDer(Unwrap(file));
        }
        catch (AsnContentException e)
        {
            throw new FormatException($"it is no certificate revocation list: {e.Message}", e);
        }
    }

    /// <summary>Whether a certificate's serial number is listed.</summary>
    public bool Revokes(X509Certificate2 certificate)
    {
        ArgumentNullException.ThrowIfNull(certificate);
        return _serials.Contains(Key(new BigInteger(certificate.SerialNumberBytes.Span, isUnsigned: false, isBigEndian: true)));
    }

    /// <summary>Whether <paramref name="authority"/> signed it.</summary>
    public bool IsSignedBy(X509Certificate2 authority)
    {
        ArgumentNullException.ThrowIfNull(authority);
        if (!authority.SubjectName.RawData.AsSpan().SequenceEqual(_issuer))
        {
            return false;
        }

        using var key = authority.GetECDsaPublicKey();
        return key is not null && key.VerifyData(_signed, _signature, HashAlgorithmName.SHA256, DSASignatureFormat.Rfc3279DerSequence);
    }

    private static ReadOnlyMemory<byte> Unwrap(ReadOnlyMemory<byte> file)
    {
        // DER starts with SEQUENCE; anything else must be text.
        if (file.Length > 0 && file.Span[0] == 0x30)
        {
            return file;
        }

        var text = System.Text.Encoding.ASCII.GetString(file.Span);
        if (!PemEncoding.TryFind(text, out var fields) || text[fields.Label] != PemLabel)
        {
            throw new FormatException($"it is neither DER nor PEM with the label {PemLabel}");
        }

        return Convert.FromBase64String(text[fields.Base64Data]);
    }

    private static RevocationList ParseDer(ReadOnlyMemory<byte> der)
    {
        var outer = new AsnReader(der, AsnEncodingRules.DER);
        var list = outer.ReadSequence();
        outer.ThrowIfNotEmpty();
        var signed = list.PeekEncodedValue();
        var body = list.ReadSequence();
        RequireAlgorithm(list.ReadSequence());
        var signature = list.ReadBitString(out var unusedBits);
        if (unusedBits != 0)
        {
            throw new FormatException("its signature is no whole number of bytes");
        }

        list.ThrowIfNotEmpty();

        if (body.PeekTag() == Asn1Tag.Integer)
        {
            body.ReadInteger();
        }

        RequireAlgorithm(body.ReadSequence());
        var issuer = body.ReadEncodedValue();
        var thisUpdate = ReadTime(body);
        DateTimeOffset? nextUpdate = body.HasData && IsTime(body.PeekTag()) ? ReadTime(body) : null;
        var serials = new HashSet<string>(StringComparer.Ordinal);
        if (body.HasData && body.PeekTag() == Asn1Tag.Sequence)
        {
            var entries = body.ReadSequence();
            while (entries.HasData)
            {
                serials.Add(Key(entries.ReadSequence().ReadInteger()));
            }
        }

        return new RevocationList(serials, signed.ToArray(), signature, issuer.ToArray(), thisUpdate, nextUpdate);
    }

    private static void RequireAlgorithm(AsnReader algorithm)
    {
        var oid = algorithm.ReadObjectIdentifier();
        if (oid != EcdsaWithSha256)
        {
            throw new FormatException($"its signature algorithm is {oid}; only ecdsa-with-SHA256 ({EcdsaWithSha256}) is taken");
        }
    }

    private static bool IsTime(Asn1Tag tag) => tag == Asn1Tag.UtcTime || tag == Asn1Tag.GeneralizedTime;

    private static DateTimeOffset ReadTime(AsnReader reader) =>
        reader.PeekTag() == Asn1Tag.UtcTime ? reader.ReadUtcTime() : reader.ReadGeneralizedTime();

    private static string Key(BigInteger serial) => serial.ToString("X", System.Globalization.CultureInfo.InvariantCulture);
}
