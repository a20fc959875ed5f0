using System.Globalization;
using System.Text.Json.Nodes;

namespace Dpu.EndToEnd.Tests;

/// <summary>What the host mounts below an exported directory is part of it: it appears, is what it is there, and goes.</summary>
[TestClass]
public sealed class HostMountTests
{
    private static readonly string[] s_caches = ["none", "coherent"];
    private static Pair s_pair = null!;
    private static int s_number;

    [ClassInitialize]
    public static void Start(TestContext _)
    {
        s_pair = new Pair();
        s_pair.StartAgent();
        JsonObject configuration = s_pair.RuntimeConfiguration();
        foreach (string cache in s_caches)
        {
            JsonObject mount = s_pair.Mount("data", cache);
            mount["cache"] = cache;
            configuration["mounts"]!.AsArray().Add(mount);
        }

        s_pair.StartRuntime(configuration);
        Array.ForEach(s_caches, cache => Pair.WaitMounted(On(cache)));
    }

    [ClassCleanup]
    public static void Stop() => s_pair.Dispose();

    [TestMethod]
    [TestCategory("root")]
    [DataRow("none")]
    [DataRow("coherent")]
    public void MountOfTheHost_AppearsOverWhatTheDpuHasSeen_AndGoesWithAnOrdinaryUmount(string cache)
    {
        string host = Folder(out string there, cache);
        File.WriteAllText(host + "/under", "hidden");
        Assert.AreEqual("hidden", File.ReadAllText(there + "/under"));
        using (new HostMount("-t tmpfs -o size=8m test-tmpfs", host))
        {
            File.WriteAllText(host + "/f", "of the mount");
            Eventually.True(() => Names(there) is ["f"], Pair.Limit, "the mount's content");
            Assert.AreEqual("of the mount", File.ReadAllText(there + "/f"));
            File.WriteAllText(there + "/made", "there");
            Assert.AreEqual("there", File.ReadAllText(host + "/made"));

            // Figures are its own; files cannot cross.
            Assert.AreEqual(Shell.Check("stat -fc '%b %S' .", host), Shell.Check("stat -fc '%b %S' .", there));
            Assert.AreNotEqual(Shell.Check("stat -fc '%b %S' .", There(cache)), Shell.Check("stat -fc '%b %S' .", there));
            Assert.Contains("Invalid cross-device link", Shell.Run($"ln f ../linked{s_number}", there).Error);
            Assert.AreEqual("EXDEV", Shell.Python($"try: os.rename('f', '../f')\nexcept OSError as e: say(errno.errorcode[e.errno])", there).Single());
        }

        Eventually.True(() => Names(there) is ["under"], Pair.Limit, "what was hidden");
        Assert.AreEqual("hidden", File.ReadAllText(there + "/under"));
    }

    [TestMethod]
    [TestCategory("root")]
    [DataRow("none")]
    [DataRow("coherent")]
    public void OpenFileOfTheDpu_KeepsTheMountAsOneOfTheHostWould_UntilItIsClosed(string cache)
    {
        string host = Folder(out string there, cache);
        using var mounted = new HostMount("-t tmpfs test-tmpfs", host);
        File.WriteAllText(host + "/f", "kept");
        Eventually.True(() => File.Exists(there + "/f"), Pair.Limit, "the file");
        using (FileStream open = File.OpenRead(there + "/f"))
        {
            // Twice the time after which a mount is let go that nobody uses.
            DateTime until = File.GetLastWriteTimeUtc(host + "/f").AddSeconds(5);
            Eventually.True(() => Shell.Run("test $(date +%s) -ge " + new DateTimeOffset(until).ToUnixTimeSeconds().ToString(CultureInfo.InvariantCulture), "/").ExitCode == 0, Pair.Limit, "the time");
            Assert.Contains("busy", Shell.Run($"umount {host}", "/").Error);
            Assert.AreEqual('k', (char)open.ReadByte());
        }

        mounted.Unmount();
        Assert.IsEmpty(Names(there));
    }

    [TestMethod]
    [TestCategory("root")]
    public void FilesOfTheMount_AreKeptRightWhileItIsThere_AndAfterItIsMountedAgain()
    {
        string host = Folder(out string there, "coherent");
        string image = s_pair.Folder + "/again.img";
        Shell.Check($"truncate -s 16M {image} && mkfs.ext4 -q {image}", "/");
        for (int round = 0; round < 2; round++)
        {
            using var mounted = new HostMount($"-o loop {image}", host);
            string name = $"f{round}", link = $"g{round}";
            Shell.Check($"echo 1 > {name} && ln {name} {link} && mkdir d{round} && echo x > d{round}/h", host);
            Eventually.True(() => File.Exists($"{there}/{name}"), Pair.Limit, "the file");
            Assert.AreEqual("2", Shell.Check($"stat -c %h {name}; cat {name} > /dev/null", there));

            // Each is asked until it is kept, and then seen to change.
            Seen("echo 2 > " + name, "cat " + name, "2");
            Seen($"chmod 640 {link}", "stat -c %a " + name, "640");
            Seen($"ln {link} third{round}", "stat -c %h " + name, "3");
            Seen($"echo y > d{round}/h", $"cat d{round}/h", "y");
            Seen($"rm d{round}/h", $"ls d{round} | wc -l", "0");
        }

        void Seen(string change, string look, string expected)
        {
            Shell.Check(look, there);
            Shell.Check(look, there);
            Shell.Check(change, host);
            Eventually.True(() => Shell.Check(look, there) == expected, TimeSpan.FromSeconds(5), $"'{look}' to show '{expected}' after '{change}'");
        }
    }

    [TestMethod]
    [TestCategory("root")]
    [DataRow("none")]
    [DataRow("coherent")]
    public void BindMounts_OfAFolderAndOfAFile_AreFollowedAndLetGo(string cache)
    {
        string host = Folder(out string there, cache);
        string elsewhere = Directory.CreateDirectory(Path.Combine(s_pair.Folder, "elsewhere" + s_number)).FullName;

        // Of the same file system, though of no export: what happens to it is no use of the mounts.
        using RunningProgram busy = Shell.StartPythonServer(
            """
            open('busy', 'w').close(); say('ready')
            while True: os.chmod('busy', 0o600); time.sleep(0.01)
            """,
            elsewhere);
        Shell.Check("mkdir d && touch one && echo under > one", host);
        Shell.Check("echo a > one && mkdir d && echo b > d/f", elsewhere);
        Assert.AreEqual("under", Shell.Check("cat one; ls d", there));
        using (new HostMount($"--bind {elsewhere}/one", host + "/one"))
        using (new HostMount($"--bind {elsewhere}/d", host + "/d"))
        {
            Eventually.True(() => Shell.Run("cat one d/f", there).Output == "a\nb\n", Pair.Limit, "what is bound");

            // Changed by their other names, which lie outside of the export.
            Shell.Check("echo c > one && echo d > d/f", elsewhere);
            Eventually.True(() => Shell.Run("cat one d/f", there).Output == "c\nd\n", TimeSpan.FromSeconds(5), "the change");
        }

        Eventually.True(() => Shell.Run("cat one; ls d", there).Output == "under\n", Pair.Limit, "what was hidden");
    }

    [TestMethod]
    [TestCategory("root")]
    [DataRow("none")]
    [DataRow("coherent")]
    public void MountsInsideMounts_AndOneOverAnother_ShowTheUppermost(string cache)
    {
        string host = Folder(out string there, cache);
        using (new HostMount("-t tmpfs test-tmpfs", host))
        {
            Directory.CreateDirectory(host + "/in");
            Eventually.True(() => Names(there) is ["in"], Pair.Limit, "the outer mount");
            using (new HostMount("-t tmpfs test-tmpfs", host + "/in"))
            {
                File.WriteAllText(host + "/in/f", "1");
                Eventually.True(() => Names(there + "/in") is ["f"], Pair.Limit, "the inner mount");
                using (new HostMount("-t tmpfs test-tmpfs", host + "/in"))
                {
                    File.WriteAllText(host + "/in/g", "2");
                    Eventually.True(() => Names(there + "/in") is ["g"], Pair.Limit, "the one over it");
                }

                Eventually.True(() => Names(there + "/in") is ["f"], Pair.Limit, "the inner mount again");
                Assert.AreEqual("1", File.ReadAllText(there + "/in/f"));
            }

            Eventually.True(() => Names(there + "/in") is [], Pair.Limit, "the outer mount's folder");
        }
    }

    [TestMethod]
    [TestCategory("root")]
    [DataRow("none")]
    [DataRow("coherent")]
    public void MountDetachedOnTheHost_IsStaleForWhoIsInIt_AndItsFileSystemEnds(string cache)
    {
        string host = Folder(out string there, cache);
        string image = $"{s_pair.Folder}/detached-{cache}.img";
        Shell.Check($"truncate -s 16M {image} && mkfs.ext4 -q {image}", "/");
        using var mounted = new HostMount($"-o loop {image}", host);
        Shell.Check("mkdir d && echo 1 > d/f", host);
        Eventually.True(() => File.Exists(there + "/d/f"), Pair.Limit, "the file");
        string go = $"{s_pair.Folder}/go-{cache}";
        using RunningProgram inside = Shell.StartPython(
            $$"""
            say('in')
            wait('{{go}}')
            attempt('listed', lambda: os.listdir('.'))
            """,
            there + "/d");
        inside.WaitForLine(line => line == "in", Pair.Limit);
        Shell.Check($"umount -l {host}", "/");
        File.WriteAllText(go, "");
        CollectionAssert.Contains(Shell.End(inside), "listed ESTALE");
        Eventually.True(() => Names(there) is [], Pair.Limit, "the folder without the mount");
        Eventually.True(() => Shell.Check($"losetup -j {image}", "/").Length == 0, Pair.Limit, "the end of the file system");
    }

    [TestMethod]
    [TestCategory("root")]
    public void FilesOfSeveralMounts_WithEqualNumbersThere_AreDifferentFilesHere()
    {
        string first = Folder(out string there, "none"), second = Folder(out string elsewhere, "none");
        using var one = new HostMount("-t tmpfs test-tmpfs", first);
        using var two = new HostMount("-t tmpfs test-tmpfs", second);
        Shell.Check($"echo 1 > {first}/f; echo 2 > {second}/f", "/");
        Assert.AreEqual(Shell.Check("stat -c %i f", first), Shell.Check("stat -c %i f", second), "the numbers on the host, which this test is about");
        Assert.AreNotEqual(Shell.Check("stat -c %d:%i f", there), Shell.Check("stat -c %d:%i f", elsewhere));
        Assert.AreEqual("1 2", Shell.Check($"echo $(cat {there}/f {elsewhere}/f)", "/"));
    }

    private static string On(string cache) => Path.Combine(s_pair.MountRoot, cache);

    private static string There(string cache) => On(cache);

    /// <summary>A new folder of the export, and its place in a mount.</summary>
    private static string Folder(out string there, string cache)
    {
        string name = string.Create(CultureInfo.InvariantCulture, $"m{Interlocked.Increment(ref s_number)}");
        there = Path.Combine(On(cache), name);
        return Directory.CreateDirectory(Path.Combine(s_pair.ExportRoot, name)).FullName;
    }

    private static string[] Names(string folder)
    {
        try
        {
            return [.. Directory.GetFileSystemEntries(folder).Select(path => Path.GetFileName(path)).Order(StringComparer.Ordinal)];
        }
        catch (IOException)
        {
            // Expected where the folder is exchanged meanwhile.
            return ["?"];
        }
    }

    /// <summary>A mount of the host, which goes by umount(8) once the agent has let it go.</summary>
    private sealed class HostMount : IDisposable
    {
        private readonly string _target;
        private bool _gone;

        public HostMount(string arguments, string target)
        {
            _target = target;
            Shell.Check($"mount {arguments} {target}", "/");
        }

        /// <summary>Waits until nobody uses it.</summary>
        public void Unmount()
        {
            try
            {
                Eventually.True(() => Shell.Run($"umount {_target}", "/").ExitCode == 0, TimeSpan.FromSeconds(10), $"the umount of {_target}");
            }
            catch (TimeoutException e)
            {
                throw new TimeoutException($"{e.Message} It is held by:\n{Holders()}", e);
            }

            _gone = true;
        }

        // Descriptors by the number of their mount, which a path does not tell.
        private string Holders()
        {
            string number = Shell.Run($"grep -F ' {_target} ' /proc/self/mountinfo | tail -1 | cut -d' ' -f1", "/").Output.Trim();
            return Shell.Run($"for f in $(grep -l -s -x 'mnt_id:[[:space:]]*{number}' /proc/[0-9]*/fdinfo/*); do p=${{f%/fdinfo/*}}; echo $f $(cat $p/comm) $(readlink $p/fd/${{f##*/}}) $(tr '\n' ' ' < $f); done; grep -F '{_target}' /proc/[0-9]*/mountinfo | cut -c1-200 | head -20", "/").Output;
        }

        public void Dispose()
        {
            if (_gone || !MountTable.Targets().Contains(_target))
            {
                return;
            }

            try
            {
                Unmount();
            }
            catch (TimeoutException)
            {
                Shell.Check($"umount -l {_target}", "/");
                throw;
            }
        }
    }
}
