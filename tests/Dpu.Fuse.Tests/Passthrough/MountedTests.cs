using Dpu.Fuse.Ring;
using Dpu.Fuse.Tests.Support;

namespace Dpu.Fuse.Tests.Passthrough;

/// <summary>The same work in a plain directory and through a real mount of one must give the same answers and files.</summary>
[TestClass]
public sealed class MountedTests
{
    // Runs in an empty directory; prints what it sees. Not the inode or device numbers, times of now, or link count of
    // directories, which differ between file systems.
    private const string Work = """
        set -eu
        cd "$1"; umask 027
        try() { "$@" 2>&1 | sed "s|$PWD||g"; echo "= ${PIPESTATUS[0]}"; }
        mkdir -p a/b c; echo one > a/f; echo two >> a/f; cp -a /etc/passwd a/p; ln a/f a/hard; ln -s ../c a/soft; ln -s /etc/absent a/dangling
        mkfifo a/fifo; mknod a/null c 1 3; python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind("a/s")'
        chmod 4755 a/f; chown 12:34 a/p; touch -d '2001-02-03 04:05:06.123456789' a/p; touch -h -d @5 a/soft; truncate -s 100000 c/sparse
        printf x | dd of=c/sparse bs=1 seek=50000 conv=notrunc status=none; fallocate -p -o 0 -l 4096 c/sparse
        try mkdir a; try rmdir a; try cat absent; try rm a/b; try mv a a/b/c; try ln -s x a/soft; try cat a/soft/none; try cat a/dangling
        mv a/hard c/moved; mv -T c d; python3 -c 'import os; os.rename("d/moved", "d/f2"); os.link("a/dangling","d/l",follow_symlinks=False)'
        setfattr -n user.k -v v1 a/p; try getfattr -d a/p; try setfattr -x user.none a/p
        mkdir acl; setfacl -m d:u:55:rwx,u:66:r acl; echo > acl/child; mkdir acl/sub; try getfacl -n acl acl/child acl/sub
        mkdir sg; chgrp 777 sg; chmod 2775 sg; echo > sg/f; mkdir sg/d
        python3 - <<'PY'
        import os, fcntl, mmap
        f = os.open("t", os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        os.write(f, b"abc" * 100000); os.unlink("t"); print(os.fstat(f).st_nlink, os.fstat(f).st_size, os.pread(f, 3, 299997)); os.ftruncate(f, 10); os.fsync(f)
        print(os.fstat(f).st_size); os.close(f)
        for flags in (os.O_CREAT | os.O_EXCL, os.O_DIRECTORY, os.O_NOFOLLOW | os.O_RDWR):
            try: os.close(os.open("a/soft", flags)); print("opened")
            except OSError as e: print(e.errno)
        t = os.open(".", os.O_TMPFILE | os.O_RDWR, 0o600); os.write(t, b"tmp")
        os.link(f"/proc/self/fd/{t}", "tmp", src_dir_fd=t, follow_symlinks=True); print(open("tmp").read())
        m = os.open("m", os.O_RDWR | os.O_CREAT); os.ftruncate(m, 8192)
        with mmap.mmap(m, 8192) as p: p[5000:5003] = b"map"; p.flush()
        print(os.pread(m, 3, 5000)); fcntl.flock(m, fcntl.LOCK_EX)
        a = os.open("ap", os.O_WRONLY | os.O_CREAT | os.O_APPEND); os.write(a, b"1"); os.pwrite(a, b"2", 0); print(open("ap").read())
        print(sorted(os.listdir("a")), os.lseek(os.open("d/sparse", os.O_RDONLY), 0, os.SEEK_DATA) >= 4096)
        PY
        mkdir many; (cd many; seq 1 2000 | xargs touch; ls | wc -l; ls -U | sort | md5sum; rm [1-9]??; ls | wc -l)
        cp -a /usr/include/linux inc; diff -r /usr/include/linux inc && echo same; tar cf - inc | tar xf - -C many; diff -r inc many/inc && echo same
        rm -r inc many/inc
        find . -printf '%p %y %m %U %G %s %l\n' | grep -v '^\S* d' | sort; find . -type d -printf '%p %m %U %G\n' | sort; find a -printf '%p %T@\n' | grep -E 'p |soft ' | sort
        find . -type f -print0 | sort -z | xargs -0 md5sum; getfattr -h -R -d . ; stat -f -c %l .
        """;

    [TestMethod]
    [TestCategory("root")]
    [DataRow(0, false, DisplayName = "window of the process")]
    [DataRow(16, false, DisplayName = "window of 16")]
    [DataRow(0, true, DisplayName = "io_uring")]
    [Timeout(120_000, CooperativeCancellation = true)]
    public void RealPrograms_ThroughAMount_SeeAndLeaveWhatTheyWouldOnTheHost(int window, bool ring)
    {
        using var export = new PeerExport(o => o with { AllowDeviceNodes = true, DescriptorWindow = window == 0 ? null : new DescriptorWindow(window) });
        string plain = Directory.CreateDirectory(Path.Combine(export.Folder, "plain")).FullName;
        PeerExport.Mode(plain, 0x1ed);
        string target = Directory.CreateDirectory(Path.Combine(export.Folder, "mnt")).FullName;
        string script = Path.Combine(export.Folder, "work.sh");
        File.WriteAllText(script, Work);
        string expected = Shell.Run("bash", script, plain);
        string seen = WithMount(export, target, () => Shell.Run("bash", script, target), ring ? new FuseRingOptions() : null);
        AssertSameLines(expected, seen);
        Assert.AreEqual(0, export.FileSystem.OpenHandles);

        // And the host sees what the peer made: the same tree.
        AssertSameLines(Shell.Run("bash", "-c", Listing, "sh", plain), Shell.Run("bash", "-c", Listing, "sh", export.Root));
    }

    [TestMethod]
    [TestCategory("root")]
    [Timeout(60_000, CooperativeCancellation = true)]
    public void SquashedMount_OrdinaryUser_WorksInItsOwnPlaceOnly()
    {
        using var export = new PeerExport(o => o with { Identity = IdentityPolicy.RootSquashing });
        Directory.CreateDirectory(export.In("home"));
        PeerExport.HostOwner(export.In("home"), 1234, 1234);
        PeerExport.Mode(export.In("home"), 0x1c0);
        string target = Directory.CreateDirectory(Path.Combine(export.Folder, "mnt")).FullName;
        // By relative paths: whoever runs the tests may keep the temporary folder to himself.
        const string work = """
            cd home && mkdir d && echo x > d/f && cat d/f && mv d e && rm -r e && touch g && chmod 600 g && ls -n g | cut -d' ' -f1-4
            touch ../no 2>/dev/null || echo refused
            """;
        string seen = WithMount(export, target, () =>
        {
            string output = Shell.Run("env", "-C", target, "setpriv", "--reuid=1234", "--regid=1234", "--clear-groups", "bash", "-c", work);
            return output + Shell.Run("bash", "-c", "ls \"$1/home\" >/dev/null 2>&1 || echo root refused", "sh", target);
        });
        Assert.AreEqual("x\n-rw------- 1 1234 1234\nrefused\nroot refused\n", seen);
    }

    private const string Listing = "cd \"$1\"; find . -printf '%p %y %m %U %G %l\\n' | sort; find . -type f -print0 | sort -z | xargs -0 md5sum";

    private static void AssertSameLines(string expected, string actual)
    {
        string[] wanted = expected.Split('\n');
        string[] seen = actual.Split('\n');
        IEnumerable<string> differences = wanted.Except(seen).Select(line => "- " + line).Concat(seen.Except(wanted).Select(line => "+ " + line));
        Assert.AreEqual(string.Empty, string.Join('\n', differences.Take(20)));
        CollectionAssert.AreEqual(wanted, seen, "the order differs");
    }

    internal static string WithMount(PeerExport export, string target, Func<string> work, FuseRingOptions? ring = null)
    {
        System.Collections.Concurrent.ConcurrentBag<Exception> bugs = [];
        _ = ring is null ? null : FuseRingSupport.FindRefusal();
        using FuseDevice device = FuseDevice.Mount(new FuseMountOptions { Target = target, Subtype = "dpu-test", AllowDev = true, AllowSuid = true });
        var dispatcher = new FuseDispatcher(export.FileSystem, new FuseDispatcherOptions { OnBug = (_, _, bug) => bugs.Add(bug) });
        using FuseServer server = FuseServer.Start(device, dispatcher, new FuseServerOptions { Threads = 2, Name = "dpu-test", EnterThread = FuseWorkerThread.Enter, Ring = ring });
        string output = work();
        Assert.AreEqual(ring is not null, server.UsesRings, server.RingRefusal);
        Assert.IsEmpty(bugs);
        return output;
    }
}
