namespace Dpu.EndToEnd.Tests;

// rsync(1) and tar(1) with all that a file may have.
public sealed partial class RealProgramsTests
{
    // Names, kinds, links, holes, owners, modes, times, attributes, ACLs, capabilities.
    private const string OddTree =
        """
        import os
        for i, name in enumerate([b' lead', b'new\nline', b'\xff\xfe raw', 'ünï'.encode(), b'-dash', b'a' * 255, b'tab\t', b'quote\'"', b'back\\slash', b'*', b'...']):
            open(name, 'wb').write(name * i)
        os.mkfifo('fifo')
        os.mknod('sock', 0o140640)
        os.mknod('chr', 0o020600, os.makedev(1, 3))
        os.mknod('blk', 0o060600, os.makedev(7, 250))
        f = os.open('sparse', os.O_CREAT | os.O_WRONLY)
        os.pwrite(f, b'x' * 5000, 1 << 20)
        os.pwrite(f, b'end', 32 << 20)
        os.ftruncate(f, (32 << 20) + 100000)
        os.close(f)
        os.symlink('nowhere', 'dangling')
        os.symlink('x' * 4000, 'long')
        os.link('sparse', 'hard')
        os.mkdir('d')
        os.chmod('d', 0o2770)
        os.mkdir('sticky')
        os.chmod('sticky', 0o1777)
        open('suid', 'w').write('s')
        os.chown('suid', 1, 2)
        os.chmod('suid', 0o6755)
        os.setxattr('suid', b'user.a', b'1' * 3000)
        os.setxattr('d', b'trusted.t', b'\0\1')
        os.setxattr('hard', 'user.empty', b'')
        os.utime('suid', ns=(1, 1234567891))
        os.system('setfacl -m u:1000:rw,g:5:r suid && setfacl -d -m u:1000:rwx d && setcap cap_net_raw+ep ...')
        """;

    // What rsync would still have to change says how the two differ.
    private const string Difference = "rsync -aHAX --checksum --numeric-ids --dry-run --itemize-changes --delete";

    [TestMethod]
    [TestCategory("interop")]
    [DataRow(ThreeMounts.None)]
    [DataRow(ThreeMounts.Coherent)]
    public void RsyncAndTar_OfEverythingAFileMayHave_BothWays_LoseNothing(string cache)
    {
        (string there, string onHost) = s_mounts.Place(cache, "copies");
        string source = Directory.CreateDirectory(Path.Combine(s_mounts.Folder, $"source-{cache}")).FullName;
        Sh("cp -a /usr/include/linux tree && mkdir odd", source);
        Shell.Python(OddTree, Path.Combine(source, "odd"));

        Sh($"rsync -aHAXS --numeric-ids {source}/ {there}/rsync/", "/");
        Assert.AreEqual("", Sh($"{Difference} {source}/ {there}/rsync/", "/"), "as the mount shows what rsync wrote");
        Assert.AreEqual("", Sh($"{Difference} {source}/ {onHost}/rsync/", "/"), "as the host has what rsync wrote");
        Assert.AreEqual(Sh("du -k sparse", $"{source}/odd"), Sh("du -k sparse", $"{onHost}/rsync/odd"), "holes");

        // The DPU changes it, the host brings it up to date, and the DPU sees that.
        Sh("rm -r tree/netfilter* && echo more >> odd/... && mv odd/d odd/e && ln -f odd/suid odd/sticky/suid && truncate -s 5 tree/fs.h", $"{there}/rsync");
        Assert.AreNotEqual("", Sh($"{Difference} {source}/ {onHost}/rsync/", "/"), "the check sees a difference");
        Sh($"rsync -aHAXS --numeric-ids --checksum --delete {source}/ {onHost}/rsync/", "/");
        Assert.IsTrue(Eventually.Within(() => Sh($"{Difference} {source}/ {there}/rsync/", "/").Length == 0, TimeSpan.FromSeconds(5)), Sh($"{Difference} {source}/ {there}/rsync/", "/"));
        Sh($"rsync -aHAXS --numeric-ids {there}/rsync/ back/", s_mounts.Folder);
        Assert.AreEqual("", Sh($"{Difference} {source}/ back/ && rm -r back", s_mounts.Folder), "what was read through the mount");

        // tar ignores sockets.
        const string everything = "--xattrs --xattrs-include='*' --acls --sparse --exclude=sock";
        Sh($"rm odd/sock && tar {everything} -cf - . | (mkdir {there}/tar && tar {everything} -C {there}/tar -xpf -)", source);
        Assert.AreEqual("", Sh($"{Difference} {source}/ {onHost}/tar/", "/"), "as the host has what tar wrote");
        Sh($"mkdir again && tar {everything} -C {there}/tar -cf - . | tar {everything} -C again -xpf -", s_mounts.Folder);
        Assert.AreEqual("", Sh($"{Difference} {source}/ again/ && rm -r again", s_mounts.Folder), "what tar read through the mount");
    }
}
