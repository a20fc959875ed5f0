namespace Dpu.Link.Tests.Pki;

[TestClass]
public sealed class LinkCredentialsTests
{
    [TestMethod, TestCategory("unit")]
    public void Load_GoodFiles_SaysNameAndExpiry()
    {
        using var lab = new LinkLab();
        var clock = new ShiftedTime(TimeSpan.Zero);
        var credentials = lab.Credentials(LinkRole.Dpu, "dpu1", 40 * LinkLab.Day, time: clock);
        Assert.AreEqual(new PeerIdentity(LinkRole.Dpu, "dpu1"), credentials.Identity);
        Assert.IsFalse(credentials.ExpiresSoon);
        clock.Shift(15 * LinkLab.Day);
        Assert.IsTrue(credentials.ExpiresSoon);
        Assert.IsTrue(credentials.Remaining > TimeSpan.Zero);
        clock.Shift(41 * LinkLab.Day);
        Assert.IsTrue(credentials.Remaining < TimeSpan.Zero);
    }

    [TestMethod, TestCategory("unit")]
    [DataRow(UnixFileMode.GroupRead)]
    [DataRow(UnixFileMode.OtherRead)]
    [DataRow(UnixFileMode.GroupWrite)]
    public void Load_KeyOpenToOthers_IsRefused(UnixFileMode open)
    {
        using var lab = new LinkLab();
        var files = lab.Files(LinkRole.Dpu, "dpu1");
        File.SetUnixFileMode(files.Key, UnixFileMode.UserRead | UnixFileMode.UserWrite | open);
        var e = Assert.ThrowsExactly<LinkCredentialException>(() => LinkCredentials.Load(files));
        StringAssert.Contains(e.Message, $"chmod 600 {files.Key}");
    }

    [TestMethod, TestCategory("unit")]
    public void Load_KeyOfAnotherCertificate_IsRefused()
    {
        using var lab = new LinkLab();
        var files = lab.Files(LinkRole.Dpu, "dpu1") with { Key = lab.Files(LinkRole.Dpu, "dpu2").Key };
        var e = Assert.ThrowsExactly<LinkCredentialException>(() => LinkCredentials.Load(files));
        StringAssert.Contains(e.Message, "cannot be used together");
    }

    [TestMethod, TestCategory("unit")]
    public void Load_CertificateOfAnotherAuthority_IsRefused()
    {
        using var lab = new LinkLab();
        var files = lab.Files(LinkRole.Dpu, "dpu1") with { Authority = lab.OtherAuthority().CertificatePath, Revocations = null };
        var e = Assert.ThrowsExactly<LinkCredentialException>(() => LinkCredentials.Load(files));
        StringAssert.Contains(e.Message, "is not signed by the authority");
    }

    [TestMethod, TestCategory("unit")]
    public void Load_RevocationListOfAnotherAuthority_IsRefused()
    {
        using var lab = new LinkLab();
        var files = lab.Files(LinkRole.Dpu, "dpu1") with { Revocations = lab.OtherAuthority().RevocationsPath };
        var e = Assert.ThrowsExactly<LinkCredentialException>(() => LinkCredentials.Load(files));
        StringAssert.Contains(e.Message, "is not signed by the authority");
    }

    [TestMethod, TestCategory("unit")]
    public void Load_EachMissingOrBrokenFile_IsNamed()
    {
        using var lab = new LinkLab();
        var good = lab.Files(LinkRole.Dpu, "dpu1");
        var missing = Path.Combine(lab.Folder, "missing");
        var broken = Path.Combine(lab.Folder, "broken");
        File.WriteAllText(broken, "not a certificate");
        File.SetUnixFileMode(broken, UnixFileMode.UserRead);
        foreach (var path in new[] { missing, broken })
        {
            foreach (var files in new[] { good with { Certificate = path }, good with { Key = path }, good with { Authority = path }, good with { Revocations = path } })
            {
                var e = Assert.ThrowsExactly<LinkCredentialException>(() => LinkCredentials.Load(files));
                StringAssert.Contains(e.Message, path);
            }
        }
    }

    [TestMethod, TestCategory("unit")]
    public void CheckForChanges_RotatedFiles_AreTaken()
    {
        using var lab = new LinkLab();
        var credentials = lab.Credentials(LinkRole.Dpu, "dpu1", 10 * LinkLab.Day);
        var changes = 0;
        credentials.Changed += () => changes++;
        var before = credentials.NotAfter;
        Assert.IsFalse(credentials.CheckForChanges());
        lab.Authority.Issue(LinkRole.Dpu, "dpu1", 90 * LinkLab.Day, rotate: true);
        Assert.IsTrue(credentials.CheckForChanges());
        Assert.IsTrue(credentials.NotAfter > before);
        Assert.AreEqual(1, changes);
        Assert.IsNull(credentials.ReloadError);
    }

    [TestMethod, TestCategory("unit")]
    public void CheckForChanges_BrokenNewFile_KeepsTheOldAndSaysSo()
    {
        using var lab = new LinkLab();
        var files = lab.Files(LinkRole.Dpu, "dpu1");
        var logger = new ListLogger();
        using var credentials = LinkCredentials.Load(files, logger: logger);
        var before = credentials.Current;
        var good = File.ReadAllText(files.Certificate);
        File.WriteAllText(files.Certificate, "broken");
        Assert.IsFalse(credentials.CheckForChanges());
        Assert.AreSame(before, credentials.Current);
        StringAssert.Contains(credentials.ReloadError, files.Certificate);
        Assert.IsTrue(logger.Lines.Any(l => l.Id == 1021));
        File.WriteAllText(files.Certificate, good);
        Assert.IsTrue(credentials.CheckForChanges());
        Assert.IsNull(credentials.ReloadError);
    }

    [TestMethod, TestCategory("unit")]
    public void Load_ThenRotation_IsNoticedWithoutBeingAsked()
    {
        using var lab = new LinkLab();
        var credentials = lab.Credentials(LinkRole.Dpu, "dpu1", 10 * LinkLab.Day);
        var before = credentials.NotAfter;
        lab.Authority.Issue(LinkRole.Dpu, "dpu1", 90 * LinkLab.Day, rotate: true);
        LinkLab.Eventually(() => credentials.NotAfter > before, "the poll finds the new certificate");
    }
}
