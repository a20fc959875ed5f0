using System.Text.Json.Nodes;

namespace Dpu.EndToEnd.Tests;

/// <summary>What a view's programs mount below a mount of a host is mounted on that host, and unmounted there.</summary>
[TestClass]
public sealed class ViewMountTests
{
    [TestMethod]
    [TestCategory("root")]
    [DataRow("coherent")]
    [DataRow("none")]
    [DataRow("timed")]
    public void Mount_ByRealPrograms_IsTheHosts_AndIsSeenAtOnce(string cache)
    {
        using var lab = new MountLab(cache);
        lab.Make("open/t", "open/source/deep", "open/bound");
        File.WriteAllText(lab.Host("open/t/under"), "");
        File.WriteAllText(lab.Host("open/source/f"), "once");
        File.WriteAllText(lab.Host("open/file"), "hidden");

        // mount(8) and umount(8), again and again: names and attributes that the DPU has seen are never those of before.
        lab.Check("""
            cd /mnt/open
            for i in 1 2 3 4 5; do
                test "$(ls t)" = under
                mount -t tmpfs -o size=1m,mode=751 words t
                test -z "$(ls t)"; test "$(stat -c %a t)" = 751; test "$(stat -f -c '%b * %S' t)" = "$(echo '256 * 4096')"
                echo $i > t/made; test "$(cat t/made)" = $i
                umount /mnt/open/t
                test -e t/under
            done
            """);
        Assert.IsEmpty(lab.Mounted("open/t"));

        // A relative target and source, through a link, of busybox and of mount(8); a file on a file.
        lab.Check("cd /mnt/open/source; ln -s ../bound there; busybox mount -o bind . there; test \"$(cat ../bound/f)\" = once; echo twice > ../bound/f");
        Assert.AreEqual("twice\n", File.ReadAllText(lab.Host("open/source/f")));
        string[] bound = lab.Mounted("open/bound");
        Assert.HasCount(1, bound);
        Assert.Contains("nosuid,nodev", bound[0], "as the rule does not say otherwise");
        lab.Check("mount -o remount,bind,ro /mnt/open/source /mnt/open/bound; fails touch /mnt/open/bound/f; touch /mnt/open/source/f; umount /mnt/open/bound; touch /mnt/open/bound/own");
        lab.Check("mount --bind /mnt/open/source/f /mnt/open/file; test \"$(cat /mnt/open/file)\" = twice; umount /mnt/open/file; test \"$(cat /mnt/open/file)\" = hidden");

        // With what is mounted below, and its end.
        lab.Check("cd /mnt/open; mount -t tmpfs none source/deep; touch source/deep/inner; mount --rbind source bound; test -e bound/deep/inner; fails umount /mnt/open/bound; umount bound/deep; umount bound; umount source/deep");
        Assert.IsEmpty(lab.Mounted("open/bound"));

        // Lazily and not, what was there before is there again with the next call.
        CollectionAssert.AreEqual(
            new[] { "end" },
            lab.Python("""
                t = '/mnt/open/t'
                os.chdir('/mnt/open')
                for i in range(60):
                    done = [m('none', t, 'tmpfs'), u('t' if i % 3 else t, 2 * (i % 2))]
                    try: os.stat('t/under')
                    except OSError as e: say(i, *done, errno.errorcode[e.errno], os.listdir('t'))
                    if done != ['OK', 'OK']: say(i, *done)
                say('end')
                """));

        // umount(8) does not find it in the DPU's table of mounts, and asks the kernel all the same. (It would take "t" for a source, if a mount in the view had that one.)
        lab.Check("""
            cd /mnt/open
            there() { test -e t/under || { echo "$1 of round $i:" "$(stat -c '%n %d:%i %a' . t)" "($(ls t))"; exit 1; }; }
            for i in 1 2 3 4 5 6; do mount -t tmpfs none t; umount -l t; there lazy; mount -t tmpfs none t; busybox umount t; there busybox; done
            fails umount t; fails findmnt /mnt/open/t
            """);

        // What does not lie below a mount of the host is the DPU's own, as ever.
        lab.Check("own=$(mktemp -d); mount -t tmpfs own $own; grep -q \" $own \" /proc/self/mounts; mount --bind /mnt/open $own; test -e $own/source; umount $own; umount $own; rmdir $own");
        (long intercepted, long done) = lab.View.Calls("d1", "mount");
        Assert.IsGreaterThan(done, intercepted);
        Assert.Contains("by the rule of \"mounts\" for \"open/**\"", lab.View.Pair.Agent.Log);
        Assert.Contains("dpu_view_call_intercepted", lab.View.Metrics());
    }

    [TestMethod]
    [TestCategory("root")]
    public void Overlay_AsOfASnapshot_IsTheHosts_AndItsProgramsSeeIt()
    {
        using var lab = new MountLab();
        lab.Make("open/1", "open/2", "open/up", "open/work", "open/rootfs", "open/a:b,c");
        File.WriteAllText(lab.Host("open/1/lower"), "1");
        File.WriteAllText(lab.Host("open/2/lower"), "2");
        File.WriteAllText(lab.Host("open/a:b,c/odd"), "");
        for (int round = 0; round < 3; round++)
        {
            // As containerd has it, with relative layers from a directory above them.
            lab.Check($"cd /mnt/open && mount -t overlay overlay -o index=off,lowerdir=2:1,upperdir=/mnt/open/up,workdir=work rootfs && test \"$(cat rootfs/lower)\" = 2 && echo {round} > rootfs/upper && rm rootfs/lower && test ! -e rootfs/lower");
            Assert.HasCount(1, lab.Mounted("open/rootfs"));
            Assert.AreEqual($"{round}\n", File.ReadAllText(lab.Host("open/rootfs/upper")), "the host's programs have it");
            Assert.AreEqual($"{round}\n", File.ReadAllText(lab.Host("open/up/upper")));
            lab.Check("umount /mnt/open/rootfs; test -z \"$(ls /mnt/open/rootfs)\"; rm -r /mnt/open/up/*");
            Assert.IsEmpty(lab.Mounted("open/rootfs"));
        }

        CollectionAssert.AreEqual(
            new[] { "OK", "True True", "OK", "EXDEV", "EXDEV", "EINVAL" },
            lab.Python("""
                os.chdir('/mnt/open')
                say(m('o', 'rootfs', 'overlay', 0, r'lowerdir=a\:b\,c:1'))
                say(os.path.exists('rootfs/odd'), os.path.exists('rootfs/lower'))
                say(u('rootfs'))
                say(m('o', 'rootfs', 'overlay', 0, 'lowerdir=/etc:1'))
                say(m('o', 'rootfs', 'overlay', 0, 'lowerdir=absent:1'))
                say(m('o', 'rootfs', 'overlay', 0, 'lowerdir=1::'))
                """));
    }

    [TestMethod]
    [TestCategory("root")]
    public void Umount_OfWhatIsInUse_IsBusyAsLocally_AndLazilyItGoes()
    {
        using var lab = new MountLab();
        lab.Make("open/t", "open/o", "open/1", "open/2");
        CollectionAssert.AreEqual(
            new[] { "OK", "EBUSY", "OK", "False", "OK", "OK", "kept", "False", "EINVAL", "EINVAL", "EINVAL" },
            lab.Python("""
                t = '/mnt/open/t'
                say(m('none', t, 'tmpfs'))
                f = open(t + '/f', 'w+'); f.write('kept'); f.flush()
                say(u(t))
                f.close()
                say(u(t)); say(os.path.exists(t + '/f'))
                say(m('none', t, 'tmpfs'))
                f = open(t + '/f', 'w+'); f.write('kept'); f.flush()
                say(u(t, 2)); f.seek(0); say(f.read()); say(os.path.exists(t + '/f'))
                say(u(t)); say(u(t, 4)); say(u('/mnt/open'))
                """));

        // Nodes of an overlay have no handles of the kernel's: what the DPU only remembers does not hold it.
        CollectionAssert.AreEqual(
            new[] { "OK", "EBUSY", "True", "OK" },
            lab.Python("""
                o = '/mnt/open/o'
                say(m('o', o, 'overlay', 0, 'lowerdir=/mnt/open/1:/mnt/open/2'))
                for path, folders, files in os.walk(o): pass
                os.stat(o)
                f = os.open(o, os.O_RDONLY)
                say(u(o)); say(os.path.isdir(o)); os.close(f); say(u(o))
                """));
    }

    [TestMethod]
    [TestCategory("root")]
    public void Mounts_OfTheHostItself_AndWhatNoRuleNames_AreRefused_AndTheLogSaysWhichRuleIsMissing()
    {
        using var lab = new MountLab(rules: [MountLab.Rule("open/**", "tmpfs", "bind"), MountLab.Rule("opts", "tmpfs").With("options", new JsonArray("size=?m")).With("allowSuid", true).With("allowDev", true)], agent: (agent, folder) =>
        {
            Directory.CreateDirectory($"{folder}/second");
            agent["exports"]!.AsArray().Add(Pair.Export("second", $"{folder}/second"));
        });
        lab.Make("open/t", "closed", "opts", "open/admin", "open/work", "outside");
        Directory.CreateSymbolicLink(lab.Host("open/out"), lab.View.Folder);
        Directory.CreateSymbolicLink(lab.Host("open/etc"), "/etc");
        ExternalProgram.Check("mount", ["-t", "tmpfs", "admins", lab.Host("open/admin")], Pair.Limit);
        try
        {
            CollectionAssert.AreEqual(
                new[]
                {
                    "type EPERM", "place EPERM", "option EPERM", "device EPERM", "fuse ENODEV", "bind EXDEV", "admin's EPERM", "admin's EPERM", "admin's EPERM", "user's EPERM",
                    "own option OK", "own OK", "other option EPERM", "move EINVAL", "absent ENOENT", "nothing EINVAL",
                },
                lab.Python($$"""
                    say('type', m('p', '/mnt/open/t', 'proc'))
                    say('place', m('none', '/mnt/closed', 'tmpfs'))
                    say('option', m('none', '/mnt/open/t', 'tmpfs', 0, 'huge=always'))
                    say('device', m('/dev/sda', '/mnt/open/t', 'ext4'))
                    say('fuse', m('f', '/mnt/open/t', 'fuse', 0, 'fd=3,rootmode=40000,user_id=0,group_id=0'))
                    say('bind', m('/etc', '/mnt/open/t', None, BIND))
                    say("admin's", u('/mnt/open/admin'))
                    say("admin's", m(None, '/mnt/open/admin', None, REMOUNT | RDONLY))
                    say("admin's", u('/mnt/open/admin', 2))
                    if os.fork() == 0:
                        os.setuid(1234); say("user's", m('none', '/mnt/open/t', 'tmpfs')); os._exit(0)
                    os.wait()
                    say('own option', m('none', '/mnt/opts', 'tmpfs', 0, 'size=4m'))
                    say('own', u('/mnt/opts'))
                    say('other option', m('none', '/mnt/opts', 'tmpfs', 0, 'mode=700'))
                    say('move', m('/mnt/open/t', '/mnt/open/work', None, MOVE))
                    say('absent', m('none', '/mnt/open/absent', 'tmpfs'))
                    say('nothing', u('/mnt/open/t'))
                    """));
            string log = lab.View.Pair.Agent.Log;
            foreach (string missing in (string[])[
                "\"types\" of the rule of \"mounts\" for \"open/**\" does not have \"proc\"", "no rule of the export's \"mounts\" has a \"match\" for that place",
                "\"options\" of the rule of \"mounts\" for \"open/**\" does not have \"huge=always\"", "\"options\" of the rule of \"mounts\" for \"opts\" does not have \"mode=700\"", "was not mounted for this DPU"])
            {
                Assert.Contains(missing, log);
            }

            // A link of the host's leads to a path of the DPU: nothing happens on the host.
            string[] before = File.ReadAllLines("/proc/self/mountinfo");
            lab.Check("mount -t tmpfs none /mnt/open/etc; grep -q ' /etc tmpfs' /proc/self/mounts; umount /etc");
            Assert.HasCount(before.Length, File.ReadAllLines("/proc/self/mountinfo"));
            Assert.HasCount(1, lab.Mounted("open/admin"));
            Assert.Contains("dpu_view_mount_unknown", lab.View.Metrics());
        }
        finally
        {
            ExternalProgram.Run("umount", ["-l", lab.Host("open/admin")], Pair.Limit);
        }
    }

    [TestMethod]
    [TestCategory("root")]
    public void Flags_AreTheRules_AndOfWhatIsMountedOnceMoreTheyStay()
    {
        using var lab = new MountLab(rules: [MountLab.Rule("open/free", "tmpfs", "bind").With("allowSuid", true).With("allowDev", true), MountLab.Rule("open/**", "tmpfs", "bind")]);
        lab.Make("open/free", "open/bare", "open/locked", "open/copy");
        ExternalProgram.Check("bash", ["-c", $"mount -t tmpfs locked {lab.Host("open/locked")} && touch {lab.Host("open/locked/f")} && mount -o remount,ro,noexec {lab.Host("open/locked")}"], Pair.Limit);
        try
        {
            CollectionAssert.AreEqual(
                new[] { "OK", "OK", "OK", "OK", "OK", "EPERM", "EROFS", "OK", "OK", "OK" },
                lab.Python("""
                    say(m('none', '/mnt/open/free', 'tmpfs')); say(m('none', '/mnt/open/bare', 'tmpfs', RDONLY))
                    say(m(None, '/mnt/open/bare', None, REMOUNT, 'size=2m')); say(m(None, '/mnt/open/bare', None, PRIVATE))
                    say(m('/mnt/open/locked', '/mnt/open/copy', None, BIND))
                    say(m(None, '/mnt/open/copy', None, REMOUNT))
                    m(None, '/mnt/open/copy', None, REMOUNT | BIND)
                    try: open('/mnt/open/copy/f', 'w')
                    except OSError as e: say(errno.errorcode[e.errno])
                    open('/mnt/open/bare/f', 'w').close()
                    say(u('/mnt/open/copy')); say(u('/mnt/open/bare'))
                    say(m(None, '/mnt/open/free', None, REMOUNT | BIND | RDONLY))
                    """));
            Assert.AreEqual("tmpfs ro,relatime", lab.Mounted("open/free").Single());
            lab.Check("umount /mnt/open/free");
        }
        finally
        {
            ExternalProgram.Run("umount", ["-l", lab.Host("open/locked")], Pair.Limit);
        }
    }

    [TestMethod]
    [TestCategory("root")]
    public void Namespace_OfItsOwn_HasItsOwnMounts_AndTheNewCallsOfMount()
    {
        using var lab = new MountLab();
        lab.Make("open/t");
        const string New = "c.syscall.restype = ctypes.c_long; f = c.syscall(430, b'tmpfs', 1); say('fsopen', 'OK' if f >= 0 else result(f)); f = c.syscall(428, -100, b'/mnt', 1); say('open_tree', 'OK' if f >= 0 else result(f))\n";
        CollectionAssert.AreEqual(new[] { "fsopen ENOSYS", "open_tree ENOSYS" }, lab.Python(New));
        CollectionAssert.AreEqual(
            new[] { "fsopen OK", "open_tree OK", "OK", "True" },
            lab.Python("""
                c.unshare(0x20000); m('none', '/', None, REC | PRIVATE)

                """ + New + """
                say(m('none', '/mnt/open/t', 'tmpfs')); open('/mnt/open/t/own', 'w').close(); say(os.path.exists('/mnt/open/t/own'))
                """));
        Assert.IsEmpty(lab.Mounted("open/t"));
        Assert.IsEmpty(Directory.GetFileSystemEntries(lab.Host("open/t")));
        Assert.IsGreaterThan(0, lab.View.Calls("d1", "fsopen").Intercepted);
    }
}
