using Dpu.Fuse.Tests.Support;
using Dpu.Fuse.Wire;
using Dpu.Linux;

namespace Dpu.Fuse.Tests.Passthrough;

/// <summary>Shut nodes on file systems of their own: mounts below an export, and names that the host's kernel has dropped.</summary>
[TestClass]
public sealed class WindowMountTests
{
    [TestMethod]
    [TestCategory("root")]
    [Timeout(60_000, CooperativeCancellation = true)]
    public void MountBelow_ItsNodesOpenAgain_AndItIsNotHeldWithoutThem()
    {
        using PeerExport export = WindowTests.WithWindow(8);
        string below = Directory.CreateDirectory(export.In("below")).FullName;
        Shell.Run("mount", "-t", "tmpfs", "dpu-test", below);
        bool mounted = true;
        try
        {
            List<ulong> nodes = [export.Lookup("below").nodeid];
            for (int i = 0; i < 50; i++)
            {
                File.WriteAllText(export.In($"below/f{i}"), $"{i}");
                Assert.AreEqual(0, export.TryLookup(nodes[0], $"f{i}", out fuse_entry_out entry));
                nodes.Add(entry.nodeid);
            }

            Assert.IsLessThanOrEqualTo(8, export.FileSystem.NodeDescriptors);
            WindowTests.ShutAll(export);
            Assert.AreEqual(0, export.FileSystem.NodeDescriptors);
            foreach (ulong node in nodes)
            {
                Assert.AreEqual(0, export.GetAttr(node, out _));
            }

            nodes.ForEach(node => export.FileSystem.Forget(node, 1));
            Shell.Run("umount", below);
            mounted = false;
            Assert.AreEqual(0, export.FileSystem.OpenNodes);
        }
        finally
        {
            if (mounted)
            {
                Shell.Run("umount", "-l", below);
            }
        }
    }

    [TestMethod]
    [TestCategory("root")]
    [Timeout(60_000, CooperativeCancellation = true)]
    [DataRow(true)]
    [DataRow(false)]
    public void MountBelow_WhoseLastOpenNodeGoesByItself_IsLetGoAllTheSame(bool forgotten)
    {
        using PeerExport export = WindowTests.WithWindow(8);
        string below = Directory.CreateDirectory(export.In("below")).FullName;
        Shell.Run("mount", "-t", "tmpfs", "dpu-test", below);
        bool mounted = true;
        try
        {
            File.WriteAllText(export.In("below/f"), "x");
            ulong directory = export.Lookup("below").nodeid;
            Assert.AreEqual(0, export.TryLookup(directory, "f", out fuse_entry_out file));
            if (forgotten)
            {
                // The file is shut, and the directory used once more before the peer forgets it: nothing is open then.
                export.FileSystem.ReleaseIdleMounts();
                Assert.AreEqual(0, export.GetAttr(directory, out _));
                export.FileSystem.ReleaseIdleMounts();
                export.FileSystem.Forget(directory, 1);
            }
            else
            {
                WindowTests.ShutAll(export);
            }

            export.FileSystem.ReleaseIdleMounts();
            Shell.Run("umount", below);
            mounted = false;
            Assert.AreEqual(-errno.ESTALE, export.GetAttr(file.nodeid, out _));
        }
        finally
        {
            if (mounted)
            {
                Shell.Run("umount", "-l", below);
            }
        }
    }

    [TestMethod]
    [TestCategory("root")]
    [Timeout(60_000, CooperativeCancellation = true)]
    public void HostDroppedTheNames_FilesAreStaleOnce_AndTheKernelAsksAgain() => OnOwnFileSystem((root, folder) =>
    {
        using PeerExport export = WindowTests.WithWindow(64, o => o with { Root = root, EntryTimeout = TimeSpan.FromHours(1) });
        for (int d = 0; d < 4; d++)
        {
            string inner = Directory.CreateDirectory(Path.Combine(root, $"d{d}/inner")).FullName;
            for (int i = 0; i < 50; i++)
            {
                File.WriteAllText(Path.Combine(inner, $"f{i}"), $"{d}/{i}\n");
            }
        }

        ulong directory = export.Lookup("d0/inner").nodeid;
        ulong file = export.Lookup("d0/inner/f7").nodeid;
        DropNames(export, root);
        Assert.AreEqual(0, export.GetAttr(directory, out _), "directories are connected by the kernel");
        DropNames(export, root);
        Assert.AreEqual(-errno.ESTALE, export.GetAttr(file, out _));
        Assert.AreEqual(-errno.ESTALE, export.Open(file, fcntl.O_RDONLY, out _));
        Assert.AreEqual(0, export.TryLookup(directory, "f7", out fuse_entry_out again));
        Assert.AreEqual(file, again.nodeid);
        Assert.AreEqual(0, export.GetAttr(file, out _));
        export.FileSystem.Forget(file, 2);

        // Through a mount nobody sees it: every call by path asks for the name once more after ESTALE.
        string target = Directory.CreateDirectory(Path.Combine(folder, "mnt")).FullName;
        const string read = "cd \"$1\"; find . -type f | sort | xargs cat; find . -type f | xargs chmod 640; find . -printf '%p %m %s\\n' | sort";
        string host = Shell.Run("bash", "-c", read, "sh", root);
        _ = MountedTests.WithMount(export, target, () =>
        {
            Assert.AreEqual(host, Shell.Run("bash", "-c", read, "sh", target));
            for (int round = 0; round < 3; round++)
            {
                DropNames(export, root);
                Assert.AreEqual(host, Shell.Run("bash", "-c", read, "sh", target));
            }

            return string.Empty;
        });
    });

    private static void DropNames(PeerExport export, string root)
    {
        WindowTests.ShutAll(export);

        // do_remount drops every unused dentry of the file system (reconfigure_super, fs/super.c).
        Shell.Run("mount", "-o", "remount", root);
    }

    private static void OnOwnFileSystem(Action<string, string> work)
    {
        string folder = Directory.CreateTempSubdirectory("dpu-image-").FullName;
        string root = Directory.CreateDirectory(Path.Combine(folder, "root")).FullName;
        try
        {
            string image = Path.Combine(folder, "image");
            using (FileStream file = File.Create(image))
            {
                file.SetLength(16 << 20);
            }

            Shell.Run("mkfs.ext4", "-q", image);
            Shell.Run("mount", "-o", "loop", image, root);
            try
            {
                work(root, folder);
            }
            finally
            {
                Shell.Run("umount", root);
            }
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }
}
