namespace Dpu.EndToEnd.Tests;

/// <summary>No path leads out of an export: symbolic and magic links, "..", what the host moves away under an open file.</summary>
[TestClass]
public sealed class EscapeTests
{
    [TestMethod]
    [TestCategory("root")]
    public void SymbolicLink_ThatIsAbsolute_LeadsIntoTheDpuNotTheHost()
    {
        using var pair = new Pair();
        string folder = Directory.CreateDirectory(Path.Combine(pair.Folder, "etc")).FullName;
        string secret = Path.Combine(folder, "passwd");
        File.WriteAllText(secret, "of the host");
        Shell.Check($"ln -s {secret} link; ln -s {folder} folder; ln -s ../etc/passwd relative", pair.ExportRoot);
        string mount = pair.Up();

        // A process of a DPU whose own file system has something else at that path: a mount namespace stands for it.
        string seen = Shell.Check(
            $"unshare -m bash -ec 'mount -t tmpfs tmpfs {folder}; printf \"of the DPU\" > {secret}; cat {mount}/link; echo; cat {mount}/folder/passwd; echo; cat {mount}/relative 2>&1 || true'",
            "/");

        Assert.StartsWith("of the DPU\nof the DPU\n", seen);

        // A relative one climbs from the mount point here, not from the export there.
        Assert.Contains("No such file", seen);
        Assert.AreEqual(secret, Shell.Check("readlink link", mount), "the link itself is shown as it is");
    }

    [TestMethod]
    [TestCategory("root")]
    public void MagicLinks_OfAnExportedProc_LeadIntoTheDpuNotTheHost()
    {
        using var pair = new Pair();
        string folder = Directory.CreateDirectory(Path.Combine(pair.Folder, "marked")).FullName;
        File.WriteAllText(Path.Combine(folder, "f"), "of the host");
        Shell.Check("ln -s /proc/1/root root; ln -s /proc/self/comm comm", pair.ExportRoot);
        pair.AgentConfiguration["exports"]!.AsArray().Add(Pair.Export("proc", $"/proc/{Environment.ProcessId}"));
        string mount = pair.Up();
        string proc = Directory.CreateDirectory(Path.Combine(pair.MountRoot, "proc")).FullName;
        pair.Runtime.Ctl("mount", "host1:proc", proc).EnsureSuccess();

        // The agent's own magic links would say dpu-host-agent; here the reader is cat.
        Assert.AreEqual("cat", Shell.Check("cat comm", mount));
        Assert.AreEqual("/", Shell.Check("readlink root", proc));
        string seen = Shell.Check(
            $"unshare -m bash -ec 'mount -t tmpfs tmpfs {folder}; printf \"of the DPU\" > {folder}/f; cat {proc}/root{folder}/f'",
            "/");
        Assert.AreEqual("of the DPU", seen);
    }

    [TestMethod]
    [TestCategory("root")]
    public void DotDot_BeyondTheRoot_StaysOnTheDpu()
    {
        using var pair = new Pair();
        File.WriteAllText(Path.Combine(pair.Folder, "outside"), "beside the export");
        Directory.CreateDirectory(Path.Combine(pair.ExportRoot, "d"));
        string mount = pair.Up();

        Assert.AreEqual(pair.MountRoot, Shell.Check("cd d && cd ../.. && pwd -P", mount));
        Assert.AreNotEqual(0, Shell.Run("cat ../outside", mount).ExitCode);
        Assert.AreNotEqual(0, Shell.Run("cat d/../../outside", mount).ExitCode);
    }

    [TestMethod]
    [TestCategory("root")]
    public void DirectoryMovedOut_WhileItIsOpenAndACwd_IsStaleFromTheNextOperation()
    {
        using var pair = new Pair();
        Shell.Check("mkdir -p d/sub; echo inside > d/f; echo kept > kept", pair.ExportRoot);
        string outside = Directory.CreateDirectory(Path.Combine(pair.Folder, "outside")).FullName;
        string flag = Path.Combine(pair.Folder, "moved");
        string mount = pair.Up();

        using RunningProgram running = Shell.StartPython(
            $$"""
            os.chdir('d')
            folder = os.open('.', os.O_RDONLY | os.O_DIRECTORY)
            sub = os.open('sub', os.O_RDONLY | os.O_DIRECTORY)
            file = os.open('f', os.O_RDWR)
            assert os.read(file, 6) == b'inside'
            assert os.listdir('.')
            say('ready')
            wait('{{flag}}')
            attempt('open', lambda: os.open('f', os.O_RDONLY))
            attempt('open-new', lambda: os.open('secret', os.O_RDONLY))
            attempt('create', lambda: os.open('new', os.O_CREAT | os.O_WRONLY))
            attempt('mkdir', lambda: os.mkdir('new'))
            attempt('mkdir-sub', lambda: os.mkdir('new', dir_fd=sub))
            attempt('stat', lambda: os.stat('secret'))
            attempt('fstat', lambda: os.fstat(folder))
            attempt('list', lambda: os.listdir('.'))
            attempt('list-fd', lambda: os.listdir(folder))
            attempt('list-sub', lambda: os.listdir(sub))
            attempt('unlink', lambda: os.unlink('secret'))
            attempt('rename', lambda: os.rename('secret', '../../stolen'))
            attempt('chmod', lambda: os.fchmod(folder, 0o777))
            attempt('symlink', lambda: os.symlink('x', 'new'))
            attempt('climb', lambda: os.open('../outside-of-it', os.O_CREAT | os.O_WRONLY, dir_fd=sub))
            attempt('fchmod-file', lambda: os.fchmod(file, 0o777))
            attempt('kept', lambda: os.close(os.open('{{mount}}/kept', os.O_RDONLY)))
            """,
            mount);
        running.WaitForLine(line => line == "ready", Pair.Limit);
        Directory.Move(Path.Combine(pair.ExportRoot, "d"), Path.Combine(outside, "d"));
        File.WriteAllText(Path.Combine(outside, "d", "secret"), "not exported");
        string before = Shell.Check("find . -printf '%p %m %s\\n' | sort", outside);
        File.WriteAllText(flag, "");

        string[] lines = Shell.End(running);
        Assert.HasCount(18, lines);
        Assert.AreEqual("kept OK", lines[^1]);
        foreach (string line in lines[1..^1])
        {
            Assert.EndsWith(" ESTALE", line);
        }

        Assert.AreEqual(before, Shell.Check("find . -printf '%p %m %s\\n' | sort", outside), "nothing outside was changed");

        // Back inside it is an ordinary directory again.
        Directory.Move(Path.Combine(outside, "d"), Path.Combine(pair.ExportRoot, "d"));
        Assert.AreEqual("inside", Shell.Check("cat d/f", mount));
    }

    [TestMethod]
    [TestCategory("root")]
    public void FileMovedOut_WhileKnown_IsStaleForEveryNewUse()
    {
        using var pair = new Pair();
        Shell.Check("echo inside > f; mkdir d; echo two > d/g", pair.ExportRoot);
        string outside = Directory.CreateDirectory(Path.Combine(pair.Folder, "outside")).FullName;
        string flag = Path.Combine(pair.Folder, "moved");
        string mount = pair.UpUncached();
        using RunningProgram running = Shell.StartPython(
            $$"""
            known = os.open('f', os.O_PATH)
            say('ready')
            wait('{{flag}}')
            attempt('reopen', lambda: os.open('/proc/self/fd/%d' % known, os.O_RDONLY))
            attempt('reopen-write', lambda: os.open('/proc/self/fd/%d' % known, os.O_WRONLY))
            attempt('fstat', lambda: os.fstat(known))
            attempt('chmod', lambda: os.chmod('/proc/self/fd/%d' % known, 0o777))
            attempt('truncate', lambda: os.truncate('/proc/self/fd/%d' % known, 0))
            attempt('xattr', lambda: os.setxattr('/proc/self/fd/%d' % known, 'user.x', b'1'))
            attempt('link', lambda: os.link('/proc/self/fd/%d' % known, 'd/stolen', src_dir_fd=os.open('/', os.O_RDONLY), follow_symlinks=True))
            attempt('by-name', lambda: os.stat('f'))
            """,
            mount);
        running.WaitForLine(line => line == "ready", Pair.Limit);
        File.Move(Path.Combine(pair.ExportRoot, "f"), Path.Combine(outside, "f"));
        File.WriteAllText(flag, "");

        string[] lines = Shell.End(running);
        Assert.HasCount(9, lines);
        foreach (string line in lines[1..^1])
        {
            Assert.EndsWith(" ESTALE", line);
        }

        Assert.AreEqual("by-name ENOENT", lines[^1]);
        Assert.AreEqual("inside 644", Shell.Check("echo $(cat f) $(stat -c %a f)", outside));
    }
}
