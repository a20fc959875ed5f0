using System.Text;
using Dpu.Linux;
using Dpu.Relay.Addresses;
using Dpu.TestSupport;

namespace Dpu.Relay.Tests.Addresses;

/// <summary>Addresses of unix sockets as people write them, and sockets that are bound to them.</summary>
[TestClass]
public sealed class UnixAddressTests
{
    [TestMethod]
    [TestCategory("unit")]
    public void Problem_OfWhatIsNoAddress_SaysSo()
    {
        foreach (string good in (string[])["/run/a", "@a", "@/run/../a", "/" + new string('x', 106), "@" + new string('x', 107)])
        {
            Assert.IsNull(UnixAddress.Problem(good), good);
        }

        foreach (string bad in (string[])["", "a", "@", "/", "/a/", "/a//b", "/a/../b", "/./a", "/a\0b", "/" + new string('x', 107), "@" + new string('x', 108)])
        {
            Assert.IsNotNull(UnixAddress.Problem(bad), bad);
        }
    }

    [TestMethod]
    [TestCategory("unit")]
    public void Write_OfPathAndAbstractName_IsTheKernels()
    {
        byte[] room = new byte[UnixAddress.MaxSize];
        Assert.AreEqual(2u + 6 + 1, UnixAddress.Write("/run/a", room));
        Assert.AreEqual("/run/a\0", Encoding.ASCII.GetString(room, 2, 7));
        Assert.AreEqual(2u + 1 + 3, UnixAddress.Write("@abc", room));
        Assert.AreEqual("\0abc\0", Encoding.ASCII.GetString(room, 2, 5));
    }

    [TestMethod]
    [TestCategory("root")]
    public void TryBind_WhereAnotherLives_LeavesIt_AndReplacesADeadOne()
    {
        using var folder = new TemporaryDirectory();
        string path = folder["s"];
        Assert.AreEqual(0, BoundAddress.TryBind(path, sys_socket.SOCK_STREAM, 0x1b0, 12, 34, out BoundAddress? first));
        Assert.AreEqual(0, sys_socket.listen(first!.Socket, 1));
        Assert.AreEqual((UnixFileMode)0x1b0, File.GetUnixFileMode(path));
        Assert.AreEqual(-errno.EADDRINUSE, BoundAddress.TryBind(path, sys_socket.SOCK_STREAM, 0x1b0, 0, 0, out _));
        Assert.AreEqual(-errno.EADDRINUSE, BoundAddress.TryBind(path, sys_socket.SOCK_DGRAM, 0x1b0, 0, 0, out _));

        // Another program has taken the place.
        File.Delete(path);
        Assert.AreEqual(0, BoundAddress.TryBind(path, sys_socket.SOCK_STREAM, 0x180, 0, 0, out BoundAddress? second));
        first.Dispose();
        Assert.IsTrue(File.Exists(path), "the file of another is not removed");

        // As a program that was killed leaves it.
        second!.Socket.Dispose();
        Assert.AreEqual(0, BoundAddress.TryBind(path, sys_socket.SOCK_STREAM, 0x180, 0, 0, out BoundAddress? third));
        third!.Dispose();
        Assert.IsFalse(File.Exists(path));
        File.WriteAllText(path, "x");
        Assert.AreEqual(-errno.EEXIST, BoundAddress.TryBind(path, sys_socket.SOCK_STREAM, 0x180, 0, 0, out _));
        Assert.AreEqual("x", File.ReadAllText(path));
    }

    [TestMethod]
    [TestCategory("root")]
    public void TryBind_WhereAnotherMountNamespaceListensAtTheSamePath_ReplacesTheDeadOne()
    {
        using var folder = new TemporaryDirectory();
        string path = folder.CreateDirectory("here") + "/s";
        folder.CreateDirectory("there");
        using RunningProgram other = RunningProgram.Start(
            "unshare",
            [
                "--mount", "--propagation", "private", "/usr/bin/python3", "-c",
                $"import ctypes, signal, socket\nassert ctypes.CDLL(None).mount(b'{folder["there"]}', b'{folder["here"]}', None, 4096, None) == 0\n"
                    + $"s = socket.socket(socket.AF_UNIX); s.bind('{path}'); s.listen(); print('ready', flush=True); signal.pause()",
            ]);
        other.WaitForLine(line => line == "ready", TimeSpan.FromSeconds(20));
        Assert.AreEqual(0, BoundAddress.TryBind(path, sys_socket.SOCK_STREAM, 0x180, 0, 0, out BoundAddress? dead));
        dead!.Socket.Dispose();
        Assert.AreEqual(0, BoundAddress.TryBind(path, sys_socket.SOCK_STREAM, 0x180, 0, 0, out BoundAddress? next));
        next!.Dispose();
        Assert.IsTrue(File.Exists(folder["there/s"]), "the other's");
    }
}
