using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using FsCheck;
using FsCheck.Fluent;

namespace Dpu.Link.Tests.Tls;

[TestClass]
public sealed class RevocationListTests
{
    [TestMethod, TestCategory("unit")]
    public void Parse_ListOfTheAuthority_KnowsWhatIsRevoked()
    {
        using var lab = new LinkLab();
        var bad = lab.Authority.Issue(LinkRole.Dpu, "bad", LinkLab.Day);
        var good = lab.Authority.Issue(LinkRole.Dpu, "good", LinkLab.Day);
        Assert.AreEqual(0, RevocationList.Parse(File.ReadAllBytes(lab.Authority.RevocationsPath)).Count);
        lab.Authority.Revoke("bad");
        var list = RevocationList.Parse(File.ReadAllBytes(lab.Authority.RevocationsPath));
        Assert.AreEqual(1, list.Count);
        Assert.IsTrue(list.Revokes(Load(bad)));
        Assert.IsFalse(list.Revokes(Load(good)));
        using var authority = X509Certificate2.CreateFromPem(File.ReadAllText(lab.Authority.CertificatePath));
        Assert.IsTrue(list.IsSignedBy(authority));
        using var other = X509Certificate2.CreateFromPem(File.ReadAllText(lab.OtherAuthority().CertificatePath));
        Assert.IsFalse(list.IsSignedBy(other), "same name, other key");
    }

    [TestMethod, TestCategory("unit")]
    public void Parse_AnyBytes_ThrowsNothingButFormatException() => Prop.ForAll<byte[]>(bytes => Tolerates(bytes)).QuickCheckThrowOnFailure();

    [TestMethod, TestCategory("unit")]
    public void Parse_MutatedList_IsRefusedOrItsSignatureIs()
    {
        using var lab = new LinkLab();
        lab.Authority.Issue(LinkRole.Dpu, "a", LinkLab.Day);
        lab.Authority.Revoke("a");
        using var authority = X509Certificate2.CreateFromPem(File.ReadAllText(lab.Authority.CertificatePath));
        var text = File.ReadAllText(lab.Authority.RevocationsPath);
        var der = Convert.FromBase64String(text[PemEncoding.Find(text).Base64Data]);
        Prop.ForAll<int, byte>((position, value) =>
        {
            var bytes = der.ToArray();
            var at = (int)((uint)position % bytes.Length);
            if (bytes[at] == value)
            {
                return true;
            }

            bytes[at] = value;
            try
            {
                return !RevocationList.Parse(bytes).IsSignedBy(authority);
            }
            catch (FormatException)
            {
                // Expected.
                return true;
            }
        }).QuickCheckThrowOnFailure();
    }

    [TestMethod, TestCategory("unit")]
    public void Parse_TruncatedAnywhere_IsAFormatException()
    {
        using var lab = new LinkLab();
        var text = File.ReadAllText(lab.Authority.RevocationsPath);
        var der = Convert.FromBase64String(text[PemEncoding.Find(text).Base64Data]);
        for (var size = 0; size < der.Length; size++)
        {
            Assert.ThrowsExactly<FormatException>(() => RevocationList.Parse(der.AsMemory(0, size)));
        }
    }

    private static bool Tolerates(byte[] bytes)
    {
        try
        {
            RevocationList.Parse(bytes);
            return false;
        }
        catch (FormatException)
        {
            // Expected.
            return true;
        }
    }

    private static X509Certificate2 Load(IssuedCertificate issued) => X509Certificate2.CreateFromPem(File.ReadAllText(issued.CertificatePath));
}
