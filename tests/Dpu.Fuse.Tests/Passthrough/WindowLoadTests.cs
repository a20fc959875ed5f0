using System.Diagnostics;
using Dpu.Fuse.Wire;
using Dpu.Linux;

namespace Dpu.Fuse.Tests.Passthrough;

/// <summary>Many threads and many nodes through few descriptors.</summary>
[TestClass]
public sealed class WindowLoadTests
{
    private const ulong Root = PeerExport.RootId;

    [TestMethod]
    [TestCategory("root")]
    public void Threads_AnyNodesThroughATinyWindow_EachReadsItsOwnFile()
    {
        const int files = 300;
        using PeerExport export = WindowTests.WithWindow(8);
        ulong[] nodes = new ulong[files];
        for (int i = 0; i < files; i++)
        {
            File.WriteAllText(export.In($"f{i}"), $"{i:d4}");
            nodes[i] = export.Lookup($"f{i}").nodeid;
        }

        Exception? failure = null;
        Thread[] threads = [.. Enumerable.Range(0, 4).Select(seed => new Thread(() =>
        {
            try
            {
                ReadAtRandom(export, nodes, new Random(seed));
            }
            catch (Exception e)
            {
                failure = e;
            }
        }))];
        Array.ForEach(threads, thread => thread.Start());
        Array.ForEach(threads, thread => thread.Join());
        Assert.IsNull(failure, failure?.ToString());
        Assert.AreEqual((files, 0, 0L), (export.FileSystem.OpenNodes, export.FileSystem.OpenHandles, export.FileSystem.Refused));
        _ = export.Lookup("f0");
        WindowTests.AssertBounded(export, 8 + 1);
        for (int i = 0; i < files; i++)
        {
            Assert.AreEqual(0, export.GetAttr(nodes[i], out _));
            export.FileSystem.Forget(nodes[i], i == 0 ? 2u : 1u);
        }

        Assert.AreEqual((0, 0, 0, 0L), (export.FileSystem.OpenNodes, export.FileSystem.NodeDescriptors, WindowTests.Window(export).Used, export.FileSystem.ForgetViolations));
        Assert.AreEqual(1, ResourceTests.Descriptors(export.Folder), "the root");
    }

    [TestMethod]
    [TestCategory("root")]
    public void Threads_LookUpAndForgetTheSameFilesThroughATinyWindow_EndsEmpty()
    {
        using PeerExport export = WindowTests.WithWindow(8);
        for (int i = 0; i < 24; i++)
        {
            File.WriteAllText(export.In($"f{i}"), $"{i}");
        }

        Exception? failure = null;
        Thread[] threads = [.. Enumerable.Range(0, 4).Select(seed => new Thread(() =>
        {
            try
            {
                var random = new Random(seed);
                for (int round = 0; round < 3000; round++)
                {
                    int error = export.TryLookup(Root, $"f{random.Next(24)}", out fuse_entry_out entry);
                    Assert.IsTrue(error is 0 or -errno.ENFILE, $"{error}");
                    if (error == 0)
                    {
                        Assert.AreEqual(0, export.GetAttr(entry.nodeid, out fuse_attr attr));
                        Assert.AreEqual(entry.attr.ino, attr.ino);
                        export.FileSystem.Forget(entry.nodeid, 1);
                    }
                }
            }
            catch (Exception e)
            {
                failure = e;
            }
        }))];
        Array.ForEach(threads, thread => thread.Start());
        Array.ForEach(threads, thread => thread.Join());
        Assert.IsNull(failure, failure?.ToString());
        Assert.AreEqual((0, 0, 0, 0L), (export.FileSystem.OpenNodes, export.FileSystem.NodeDescriptors, WindowTests.Window(export).Used, export.FileSystem.ForgetViolations));
        Assert.AreEqual(1, ResourceTests.Descriptors(export.Folder));
    }

    [TestMethod]
    [TestCategory("soak")]
    public void ManyMoreNodesThanDescriptors_LookedUpAndThenAskedInTurn_AllAnswer()
    {
        const int folders = 200;
        const int files = 1000;
        using PeerExport export = WindowTests.WithWindow(1000);
        var nodes = new List<ulong>(folders * files);
        var clock = new Stopwatch();
        for (int d = 0; d < folders; d++)
        {
            Directory.CreateDirectory(export.In($"d{d}"));
            for (int f = 0; f < files; f++)
            {
                File.WriteAllBytes(export.In($"d{d}/f{f}"), []);
            }

            ulong parent = export.Lookup($"d{d}").nodeid;
            clock.Start();
            for (int f = 0; f < files; f++)
            {
                Assert.AreEqual(0, export.TryLookup(parent, $"f{f}", out fuse_entry_out entry));
                nodes.Add(entry.nodeid);
            }

            clock.Stop();
        }

        Assert.AreEqual(folders * (files + 1), export.FileSystem.OpenNodes);
        WindowTests.AssertBounded(export, 1000);
        Console.WriteLine($"LOOKUP of a new node: {clock.Elapsed.TotalMicroseconds / nodes.Count:f1} us");
        clock.Restart();
        foreach (ulong node in nodes)
        {
            Assert.AreEqual(0, export.GetAttr(node, out _));
        }

        Console.WriteLine($"GETATTR of a shut node: {clock.Elapsed.TotalMicroseconds / nodes.Count:f1} us");
        Assert.IsGreaterThanOrEqualTo(nodes.Count - 1000L, WindowTests.Window(export).Reopened);
        clock.Restart();
        for (int i = 0; i < nodes.Count; i++)
        {
            Assert.AreEqual(0, export.GetAttr(nodes[^1], out _));
        }

        Console.WriteLine($"GETATTR of an open node: {clock.Elapsed.TotalMicroseconds / nodes.Count:f1} us");
        WindowTests.AssertBounded(export, 1000);
    }

    private static void ReadAtRandom(PeerExport export, ulong[] nodes, Random random)
    {
        byte[] buffer = new byte[8];
        for (int round = 0; round < 3000; round++)
        {
            int i = random.Next(nodes.Length);
            Assert.AreEqual(0, export.Open(nodes[i], fcntl.O_RDONLY, out ulong handle));
            int size = export.Read(nodes[i], handle, 0, buffer);
            CollectionAssert.AreEqual(PeerExport.Bytes($"{i:d4}"), buffer[..size]);
            Assert.AreEqual(0, export.Release(nodes[i], handle));
            if (round % 8 == 0)
            {
                Assert.AreEqual(0, export.TryLookup(Root, $"f{i}", out fuse_entry_out entry));
                Assert.AreEqual(nodes[i], entry.nodeid);
                export.FileSystem.Forget(entry.nodeid, 1);
            }
        }
    }
}
