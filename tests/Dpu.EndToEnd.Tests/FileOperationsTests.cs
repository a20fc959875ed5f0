namespace Dpu.EndToEnd.Tests;

/// <summary>
/// Every ordinary file operation, done by the same shell program on a local directory and through the mount: what the
/// program sees, and what the host then holds, must be equal.
/// </summary>
[TestClass]
public sealed class FileOperationsTests
{
    private static readonly TimeSpan Limit = TimeSpan.FromMinutes(2);

    // Everything that two trees can differ in but times, inode numbers and the sizes of directories.
    private const string Describe = """
        find . -mindepth 1 -printf '%P %y %m %U:%G %n %l ' \( -type d -printf '\n' -o -printf '%s\n' \) | LC_ALL=C sort
        find . -type f -print0 | LC_ALL=C sort -z | xargs -0 -r sha256sum
        getfattr -R -h -d -m '^(user|trusted)' . 2>/dev/null
        """;

    private static Pair s_pair = null!;
    private static string s_mount = null!;

    [ClassInitialize]
    public static void Start(TestContext _)
    {
        s_pair = new Pair(LinkKind.Tls);
        s_mount = s_pair.Up();
    }

    [ClassCleanup]
    public static void Stop() => s_pair.Dispose();

    [TestMethod]
    [TestCategory("root")]
    [DataRow("create-read-write", "echo one > a; cat a; printf 'x%.0s' $(seq 1 100000) > b; cat b | sha256sum; : > empty; cat empty")]
    [DataRow("exclusive-create", "set -C; echo 1 > a; (echo 2 > a) 2>/dev/null && echo overwritten; cat a")]
    [DataRow("append", "echo one > a; echo two >> a; for i in $(seq 50); do echo $i >> a; done; sha256sum < a")]
    [DataRow("overwrite-middle", "seq 1 10000 > a; printf HELLO | dd of=a bs=1 seek=777 conv=notrunc 2>/dev/null; sha256sum < a")]
    [DataRow("truncate", "seq 1 10000 > a; truncate -s 1234 a; stat -c %s a; truncate -s 1000000 a; sha256sum < a; : > a; stat -c %s a")]
    [DataRow("sparse", "truncate -s 100M s; echo end | dd of=s bs=1 seek=104857600 conv=notrunc 2>/dev/null; stat -c %s s; sha256sum < s")]
    [DataRow("fallocate", "fallocate -l 1M f; stat -c %s f; fallocate -n -l 2M f; stat -c %s f; seq 1 9999 > p; fallocate -p -o 4096 -l 4096 p; sha256sum < p")]
    [DataRow("copy-file-range", "seq 1 200000 > a; cp --reflink=auto --sparse=auto a b; cmp a b && echo same")]
    [DataRow("mkdir-rmdir", "mkdir -p d/e/f; rmdir d/e/f; mkdir -m 2755 g; mkdir -m 1777 t; rmdir d 2>/dev/null || echo not-empty; ls -R")]
    [DataRow("rename", "mkdir d e; echo 1 > a; mv a d/b; mv d e/; cat e/d/b; echo 2 > x; echo 3 > y; mv -f x y; cat y; mv -n y e; ls -R")]
    [DataRow("hard-links", "echo 1 > a; ln a b; ln b c; echo 2 >> c; cat a; stat -c %h a; rm a; stat -c %h b; [ b -ef c ] && echo same-inode")]
    [DataRow("symlinks", "echo 1 > a; ln -s a l; ln -s /nonexistent/x dangling; ln -s ../.. up; cat l; readlink l dangling up; cat dangling 2>/dev/null || echo broken; chmod 600 l; stat -c %a a")]
    [DataRow("chmod", "for m in 0 400 640 755 1644 4755 2755 6755 7777; do : > f$m; chmod $m f$m; stat -c '%n %a' f$m; done")]
    [DataRow("chown", "for o in 0:0 1000:1000 65534:65534 4294967294:7; do : > f; chown $o f; stat -c %u:%g f; done; ln -s f l; chown -h 5:6 l; stat -c %u:%g l f")]
    [DataRow("utimes", "touch -d '2001-02-03 04:05:06.123456789 UTC' f; TZ=UTC stat -c '%x %y' f; touch -a -d @1234567890.5 f; TZ=UTC stat -c '%x %y' f; ln -s f l; touch -h -d @77 l; stat -c %Y l f")]
    [DataRow("umask", "umask 027; : > f; mkdir d; umask 0; : > g; mkdir e; stat -c '%n %a' f d g e")]
    [DataRow("setgid-directory", "mkdir d; chgrp 77 d; chmod 2775 d; : > d/f; mkdir d/s; stat -c '%n %g %a' d/f d/s")]
    [DataRow("xattrs", "echo 1 > f; setfattr -n user.a -v one f; setfattr -n trusted.b -v two f; setfattr -n user.bin -v 0x00ff01 f; getfattr -d -m '^(user|trusted)' f; setfattr -x user.a f; getfattr -d f; getfattr -n user.none f 2>&1 | grep -c 'No such'; mkdir d; setfattr -n user.d -v dir d; getfattr -n user.d --only-values d")]
    [DataRow("acls", "echo 1 > f; setfacl -m u:1000:rw,g:55:r f; getfacl -n f; mkdir d; setfacl -d -m u:77:rwx d; : > d/x; getfacl -n d/x")]
    [DataRow("special-files", "mkfifo p; stat -c '%n %F %a' p; (echo through > p &) ; cat p")]
    [DataRow("long-and-odd-names", "n=$(printf 'n%.0s' $(seq 1 255)); echo 1 > $n; cat $n; : > ${n}x 2>/dev/null || echo too-long; printf '\\001\\377 \\n*' > list; : > \"$(printf '\\001\\002\\377 a\\tb')\"; : > ' '; : > '*'; : > -- ; ls -b")]
    [DataRow("unlinked-but-open", "echo kept > f; exec 3<f; rm f; cat <&3; ls; exec 4>g; rm g; echo data >&4; exec 4>&-; ls")]
    [DataRow("remove-many", "seq -f f%.0f 1 500 | xargs touch; ls | wc -l; rm f*; ls | wc -l")]
    [DataRow("errors", "cat none; mkdir a a; rmdir none; : > d/f; ln -s x x2; cat x2/y; mkdir n; rm n; ls n/../none 2>&1 | sed 's/.*: //'")]
    [DataRow("deep-paths", "p=.; for i in $(seq 1 100); do p=$p/dir$i; done; mkdir -p $p; echo deep > $p/f; cat $p/f; rm -r dir1; ls")]
    [DataRow("dd-direct", "dd if=/dev/urandom of=r bs=64k count=16 2>/dev/null; dd if=r of=c bs=64k oflag=direct 2>/dev/null; dd if=c iflag=direct bs=64k 2>/dev/null | cmp - r && echo same; rm r c")]
    [DataRow("mmap-write", "/usr/bin/python3 -c 'import mmap; f=open(\"m\",\"wb\"); f.truncate(8192); f.close(); f=open(\"m\",\"r+b\"); m=mmap.mmap(f.fileno(),8192); m[4000:4200]=b\"z\"*200; m.flush(); m.close()'; sha256sum < m")]
    [DataRow("fsync", "/usr/bin/python3 -c 'import os; fd=os.open(\"f\",os.O_CREAT|os.O_WRONLY); os.write(fd,b\"x\"); os.fsync(fd); os.fdatasync(fd); d=os.open(\".\",os.O_RDONLY); os.fsync(d); os.sync()'; cat f")]
    [DataRow("o-tmpfile", "/usr/bin/python3 -c 'import os; fd=os.open(\".\",os.O_TMPFILE|os.O_RDWR,0o600); os.write(fd,b\"hidden\"); os.link(\"/proc/self/fd/%d\"%fd,\"shown\",src_dir_fd=os.open(\"/\",os.O_RDONLY),follow_symlinks=True)'; cat shown; ls")]
    [DataRow("access", "echo 1 > f; chown 1000 f; chmod 600 f; chmod 755 .; setpriv --reuid 1000 --clear-groups cat f; setpriv --reuid 1001 --clear-groups cat f 2>/dev/null || echo denied")]
    public void Operation_ThroughMount_DoesAsOnTheHost(string name, string program)
    {
        using var local = new TemporaryDirectory();
        string there = Path.Combine(s_mount, name);
        string onHost = Path.Combine(s_pair.ExportRoot, name);
        Directory.CreateDirectory(onHost);

        (string expectedOutput, string expectedTree) = Run(program, local.FullPath, local.FullPath);
        (string output, string tree) = Run(program, there, onHost);

        Assert.AreEqual(expectedOutput, output, "what the program saw differs");
        Assert.AreEqual(expectedTree, tree, "what the host holds differs");
        Assert.AreEqual(tree, Sh(Describe, there), "the mount shows something else than the host holds");
    }

    [TestMethod]
    [TestCategory("root")]
    public void ReadDir_HundredThousandEntries_AreAllThereOnce()
    {
        string onHost = Directory.CreateDirectory(Path.Combine(s_pair.ExportRoot, "many")).FullName;
        for (int i = 0; i < 100_000; i++)
        {
            File.Create(Path.Combine(onHost, $"entry-{i}")).Dispose();
        }

        string[] seen = [.. Directory.EnumerateFiles(Path.Combine(s_mount, "many")).Select(path => Path.GetFileName(path)!)];

        Assert.HasCount(100_000, seen);
        Assert.AreEqual(100_000, seen.Distinct(StringComparer.Ordinal).Count());
    }

    [TestMethod]
    [TestCategory("root")]
    public void StatFs_ThroughMount_ShowsTheHostsFileSystem()
    {
        string[] here = Sh("stat -f -c '%s %S %b %l' .", s_pair.ExportRoot).Trim().Split(' ');
        string[] there = Sh("stat -f -c '%s %S %b %l' .", s_mount).Trim().Split(' ');
        Assert.AreEqual(ulong.Parse(here[2]) * ulong.Parse(here[1]), ulong.Parse(there[2]) * ulong.Parse(there[1]), "size in bytes");
        Assert.AreEqual(here[3], there[3], "longest name");
    }

    [TestMethod]
    [TestCategory("root")]
    public void HostChange_IsSeenAtOnce()
    {
        using var pair = new Pair(LinkKind.Tls);
        string there = Path.Combine(pair.UpUncached(), "changing");
        string onHost = Path.Combine(pair.ExportRoot, "changing");
        for (int i = 0; i < 100; i++)
        {
            File.WriteAllText(onHost, $"version {i}");
            Assert.AreEqual($"version {i}", File.ReadAllText(there));
        }

        File.Delete(onHost);
        Assert.IsFalse(File.Exists(there));
    }

    private static (string Output, string Tree) Run(string program, string where, string host)
    {
        // Messages name the directory; the comparison must not.
        string output = Sh($"{{ {program}\n}} 2>&1", where).Replace(where, "HERE", StringComparison.Ordinal);
        return (output, Sh(Describe, host));
    }

    private static string Sh(string program, string where) =>
        ExternalProgram.Run("bash", ["-c", program], Limit, directory: where).Output;
}
