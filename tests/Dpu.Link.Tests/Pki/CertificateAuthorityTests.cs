using System.Security.Cryptography.X509Certificates;

namespace Dpu.Link.Tests.Pki;

[TestClass]
public sealed class CertificateAuthorityTests
{
    private const UnixFileMode Private = UnixFileMode.UserRead | UnixFileMode.UserWrite;

    [TestMethod, TestCategory("unit")]
    public void InitAndIssue_Files_HaveTheRightModes()
    {
        using var lab = new LinkLab();
        var issued = lab.Authority.Issue(LinkRole.Host, "host1", LinkLab.Day, ["192.0.2.1", "host1.example"]);
        Assert.AreEqual(Private, File.GetUnixFileMode(lab.Authority.KeyPath));
        Assert.AreEqual(Private, File.GetUnixFileMode(issued.KeyPath));
        Assert.AreEqual(Private | UnixFileMode.UserExecute, File.GetUnixFileMode(Path.GetDirectoryName(issued.KeyPath)!));
        Assert.AreEqual(Private | UnixFileMode.GroupRead | UnixFileMode.OtherRead, File.GetUnixFileMode(issued.CertificatePath));
        Assert.IsEmpty(Directory.GetFiles(Path.GetDirectoryName(issued.KeyPath)!, "*.tmp"));
    }

    [TestMethod, TestCategory("unit")]
    public void Issue_Certificate_HasNameUsageSerialAndBackDate()
    {
        using var lab = new LinkLab();
        var before = TimeProvider.System.GetUtcNow();
        var issued = lab.Authority.Issue(LinkRole.Host, "host1", LinkLab.Day, ["192.0.2.1", "host1.example"]);
        using var certificate = X509Certificate2.CreateFromPem(File.ReadAllText(issued.CertificatePath));
        Assert.AreEqual(new PeerIdentity(LinkRole.Host, "host1"), PeerIdentity.Of(certificate));
        Assert.AreEqual("CN=host1", certificate.Subject);
        Assert.AreEqual(32, certificate.SerialNumber.TrimStart('0').Length, certificate.SerialNumber);
        Assert.IsTrue(before - certificate.NotBefore.ToUniversalTime() > CertificateAuthority.BackDate - TimeSpan.FromSeconds(5));
        Assert.IsTrue(certificate.MatchesHostname("host1.example"));
        Assert.IsTrue(certificate.MatchesHostname("192.0.2.1"));
        var uses = certificate.Extensions.OfType<X509EnhancedKeyUsageExtension>().Single().EnhancedKeyUsages.Cast<System.Security.Cryptography.Oid>().Select(o => o.Value!).Order().ToArray();
        CollectionAssert.AreEqual(new[] { CertificateVerifier.ServerAuthentication, CertificateVerifier.ClientAuthentication }, uses);
        Assert.IsTrue(issued.Info.Newest);
        Assert.AreEqual(CertificateStatus.Valid, issued.Info.Status);
    }

    [TestMethod, TestCategory("unit")]
    public void Issue_LongerThanTheAuthority_EndsWithIt()
    {
        using var lab = new LinkLab();
        var issued = lab.Authority.Issue(LinkRole.Dpu, "a", 9000 * LinkLab.Day);
        using var authority = X509Certificate2.CreateFromPem(File.ReadAllText(lab.Authority.CertificatePath));
        Assert.AreEqual(new DateTimeOffset(authority.NotAfter.ToUniversalTime()), issued.Info.NotAfter);
    }

    [TestMethod, TestCategory("unit")]
    public void Init_WhereOneIs_RefusesUnlessForced()
    {
        using var lab = new LinkLab();
        var folder = Path.GetDirectoryName(lab.Authority.CertificatePath)!;
        var old = File.ReadAllText(lab.Authority.CertificatePath);
        lab.Authority.Issue(LinkRole.Dpu, "a", LinkLab.Day);
        var e = Assert.ThrowsExactly<PkiException>(() => CertificateAuthority.Init(folder, "again", LinkLab.Day));
        StringAssert.Contains(e.Message, "holds an authority already");
        Assert.AreEqual(old, File.ReadAllText(lab.Authority.CertificatePath));
        var forced = CertificateAuthority.Init(folder, "again", LinkLab.Day, force: true);
        Assert.AreNotEqual(old, File.ReadAllText(lab.Authority.CertificatePath));
        Assert.AreEqual(CertificateStatus.OtherAuthority, forced.Show().Single().Status);
    }

    [TestMethod, TestCategory("unit")]
    public void Issue_TakenName_RefusesUnlessRotated()
    {
        using var lab = new LinkLab();
        var first = lab.Authority.Issue(LinkRole.Dpu, "a", LinkLab.Day);
        var key = File.ReadAllText(first.KeyPath);
        Assert.ThrowsExactly<PkiException>(() => lab.Authority.Issue(LinkRole.Dpu, "a", LinkLab.Day));
        Assert.AreEqual(key, File.ReadAllText(first.KeyPath));
        var e = Assert.ThrowsExactly<PkiException>(() => lab.Authority.Issue(LinkRole.Host, "a", LinkLab.Day, rotate: true));
        StringAssert.Contains(e.Message, "dpu://dpu/a");
        lab.Authority.Issue(LinkRole.Dpu, "a", 2 * LinkLab.Day, rotate: true);
        Assert.AreNotEqual(key, File.ReadAllText(first.KeyPath));
        var shown = lab.Authority.Show();
        Assert.HasCount(2, shown);
        CollectionAssert.AreEqual(new[] { false, true }, shown.Select(i => i.Newest).ToArray());
    }

    [TestMethod, TestCategory("unit")]
    [DataRow("")]
    [DataRow("../a")]
    [DataRow("A")]
    [DataRow("ca")]
    [DataRow("a b")]
    public void Issue_NameNotAllowed_IsRefused(string name)
    {
        using var lab = new LinkLab();
        var e = Assert.ThrowsExactly<PkiException>(() => lab.Authority.Issue(LinkRole.Dpu, name, LinkLab.Day));
        StringAssert.Contains(e.Message, PeerIdentity.NameRule);
    }

    [TestMethod, TestCategory("unit")]
    public void Revoke_ByNameAndBySerial_RevokesThoseAndNoOthers()
    {
        using var lab = new LinkLab();
        var old = lab.Authority.Issue(LinkRole.Dpu, "a", LinkLab.Day).Info;
        lab.Authority.Issue(LinkRole.Dpu, "a", LinkLab.Day, rotate: true);
        lab.Authority.Issue(LinkRole.Dpu, "b", LinkLab.Day);
        CollectionAssert.AreEqual(new[] { old.Serial }, lab.Authority.Revoke(old.Serial).Select(i => i.Serial).ToArray());
        Assert.HasCount(1, lab.Authority.Revoke("a"));
        Assert.IsEmpty(lab.Authority.Revoke("a"));
        CollectionAssert.AreEqual(
            new[] { CertificateStatus.Revoked, CertificateStatus.Revoked, CertificateStatus.Valid },
            lab.Authority.Show().Select(i => i.Status).ToArray());
        Assert.ThrowsExactly<PkiException>(() => lab.Authority.Revoke("nobody"));
    }

    [TestMethod, TestCategory("unit")]
    public void Show_TimePassed_SaysExpired()
    {
        using var lab = new LinkLab();
        lab.Authority.Issue(LinkRole.Dpu, "a", LinkLab.Day);
        var folder = Path.GetDirectoryName(lab.Authority.CertificatePath)!;
        Assert.AreEqual(CertificateStatus.Expired, CertificateAuthority.Open(folder, new ShiftedTime(2 * LinkLab.Day)).Show()[0].Status);
        Assert.AreEqual(CertificateStatus.NotYetValid, CertificateAuthority.Open(folder, new ShiftedTime(-2 * LinkLab.Day)).Show()[0].Status);
    }

    [TestMethod, TestCategory("unit")]
    public void Open_WithoutAuthority_SaysWhatToDo()
    {
        using var lab = new LinkLab();
        var e = Assert.ThrowsExactly<PkiException>(() => CertificateAuthority.Open(Path.Combine(lab.Folder, "none")));
        StringAssert.Contains(e.Message, "dpuctl pki init");
    }

    [TestMethod, TestCategory("unit")]
    public void Issue_WhileAnotherCommandHoldsTheFolder_IsRefused()
    {
        using var lab = new LinkLab();
        var path = Path.Combine(Path.GetDirectoryName(lab.Authority.CertificatePath)!, ".lock");
        using (new FileStream(path, FileMode.Open, FileAccess.ReadWrite, FileShare.None))
        {
            Assert.ThrowsExactly<PkiException>(() => lab.Authority.Issue(LinkRole.Dpu, "a", LinkLab.Day));
        }

        lab.Authority.Issue(LinkRole.Dpu, "a", LinkLab.Day);
    }
}
