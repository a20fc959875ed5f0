using System.Net.Sockets;
using Dpu.Proto.V1;

namespace Dpu.Link.Tests.Listener;

[TestClass]
public sealed class UnixLinkTests
{
    [TestMethod, TestCategory("unit")]
    public void Dial_SameUser_WorksWithoutCertificates()
    {
        using var lab = new LinkLab();
        var echo = new EchoService();
        var listener = lab.Listen(null, Endpoint(lab), services: echo);
        using var link = lab.Dialer(null).Dial(listener.Bound[0], "host1", "fs", LinkLab.Session);
        LinkLab.AssertEchoes(link);
        Assert.IsTrue(echo.Peers.TryDequeue(out var peer));
        Assert.AreEqual("dpu1", peer.Name);
        Assert.AreEqual(0u, peer.Uid);
        Assert.AreEqual(Environment.ProcessId, peer.ProcessId);
        Assert.AreEqual(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(listener.Bound[0].Host));
        Assert.IsTrue(link.Socket.Blocking);
    }

    [TestMethod, TestCategory("unit")]
    public void Dial_NameThatTheUidMayNotUse_IsNotPermitted()
    {
        using var lab = new LinkLab { Local = new LinkLocal { Name = "dpu2" } };
        var listener = lab.Listen(null, Endpoint(lab));
        var e = LinkLab.Fails(() => lab.Dialer(null).Dial(listener.Bound[0], "host1", "fs", LinkLab.Session));
        Assert.AreEqual(HelloStatus.NotPermitted, e.Status);
        StringAssert.Contains(e.Message, "uid 0 may not be 'dpu2'");
    }

    [TestMethod, TestCategory("root")]
    public void Listen_DiallerOfAnotherUser_IsNotPermitted()
    {
        using var lab = new LinkLab();
        var echo = new EchoService();
        var listener = lab.Listen(null, OpenEndpoint(lab), o => o with { UnixSocketMode = (UnixFileMode)0x1b6 }, echo);
        var (exit, output) = Tool.Run("env", "-C", lab.Folder, "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "/usr/bin/python3", "-c",
            "import socket,sys\ns=socket.socket(socket.AF_UNIX)\ns.settimeout(20)\ns.connect(sys.argv[1])\ns.sendall(bytes.fromhex(sys.argv[2]))\nprint(s.recv(4096).hex())",
            Path.GetFileName(listener.Bound[0].Host), Convert.ToHexString(HelloFrame()));
        Assert.AreEqual(0, exit, output);
        var reply = HelloReply.Parser.ParseFrom(Convert.FromHexString(output.Trim())[8..]);
        Assert.AreEqual(HelloStatus.NotPermitted, reply.Status);
        StringAssert.Contains(reply.Message, "uid 65534");
        Assert.AreEqual(LinkError.PeerUid, lab.NextRefusal().Kind);
        Assert.AreEqual(0, echo.Peers.Count);
    }

    [TestMethod, TestCategory("root")]
    public void Dial_ListenerOfAnotherUser_IsPeerUid()
    {
        using var lab = new LinkLab();
        var endpoint = OpenEndpoint(lab);
        File.SetUnixFileMode(lab.Folder, (UnixFileMode)0x1ff);
        using var impostor = new Tool("env", "-C", lab.Folder, "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "/usr/bin/python3", "-c",
            "import socket,sys\ns=socket.socket(socket.AF_UNIX)\ns.bind(sys.argv[1])\ns.listen()\nprint('ready',flush=True)\ns.accept()[0].recv(1)", Path.GetFileName(endpoint.Host));
        Assert.AreEqual("ready", impostor.Line());
        var e = LinkLab.Fails(() => lab.Dialer(null).Dial(endpoint, "host1", "fs", LinkLab.Session));
        Assert.AreEqual(LinkError.PeerUid, e.Kind);
        StringAssert.Contains(e.Message, "uid 65534");
    }

    [TestMethod, TestCategory("unit")]
    public void Start_SocketOfADeadListener_IsReplaced()
    {
        using var lab = new LinkLab();
        var endpoint = Endpoint(lab);
        using (var dead = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified))
        {
            dead.Bind(new UnixDomainSocketEndPoint(endpoint.Host + "x"));
            dead.Listen();

            // The managed socket removes its file when closed; a killed process does not.
            File.CreateSymbolicLink(endpoint.Host + "y", endpoint.Host + "x");
            File.Move(endpoint.Host + "x", endpoint.Host);
        }

        Assert.IsTrue(File.Exists(endpoint.Host));
        var listener = lab.Listen(null, endpoint);
        using var link = lab.Dialer(null).Dial(listener.Bound[0], "host1", "fs", LinkLab.Session);
        LinkLab.AssertEchoes(link);
    }

    [TestMethod, TestCategory("unit")]
    public void Start_LiveListenerOfOurs_IsNotReplaced()
    {
        using var lab = new LinkLab();
        var first = lab.Listen(null, Endpoint(lab));
        var e = LinkLab.Fails(() => lab.Listen(null, Endpoint(lab)));
        StringAssert.Contains(e.Message, "another process listens there");
        using var link = lab.Dialer(null).Dial(first.Bound[0], "host1", "fs", LinkLab.Session);
        LinkLab.AssertEchoes(link);
    }

    [TestMethod, TestCategory("unit")]
    public void Start_LiveListenerOfAnotherProgram_IsNotReplaced()
    {
        using var lab = new LinkLab();
        var endpoint = Endpoint(lab);
        using var live = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        live.Bind(new UnixDomainSocketEndPoint(endpoint.Host));
        live.Listen();
        var e = LinkLab.Fails(() => lab.Listen(null, endpoint));
        StringAssert.Contains(e.Message, "another process listens there");
        Assert.IsTrue(File.Exists(endpoint.Host));
    }

    [TestMethod, TestCategory("unit")]
    public void Start_PlainFileInThePlace_IsNotDeleted()
    {
        using var lab = new LinkLab();
        var endpoint = Endpoint(lab);
        File.WriteAllText(endpoint.Host, "precious");
        var e = LinkLab.Fails(() => lab.Listen(null, endpoint));
        StringAssert.Contains(e.Message, "no socket");
        Assert.AreEqual("precious", File.ReadAllText(endpoint.Host));
    }

    [TestMethod, TestCategory("unit")]
    public void Start_FolderThatOthersMayWrite_IsRefused()
    {
        using var lab = new LinkLab();
        File.SetUnixFileMode(lab.Folder, (UnixFileMode)0x1ff);
        var e = LinkLab.Fails(() => lab.Listen(null, Endpoint(lab)));
        StringAssert.Contains(e.Message, "chmod go-w");
    }

    [TestMethod, TestCategory("unit")]
    public void Stop_SocketFile_IsGone()
    {
        using var lab = new LinkLab();
        var listener = lab.Listen(null, Endpoint(lab));
        var path = listener.Bound[0].Host;
        Assert.IsTrue(listener.Stop());
        Assert.IsFalse(File.Exists(path));
        Assert.IsFalse(File.Exists(path + ".lock"));
        var e = LinkLab.Fails(() => lab.Dialer(null).Dial(LinkEndpoint.Unix(path), "host1", "fs", LinkLab.Session));
        Assert.AreEqual(LinkError.Unreachable, e.Kind);
        StringAssert.Contains(e.Message, "is dpu-host-agent running");
    }

    internal static LinkEndpoint Endpoint(LinkLab lab) => LinkEndpoint.Unix(Path.Combine(lab.Folder, "link.sock"));

    internal static byte[] HelloFrame() => Link.Handshake.LinkFrame.Wrap(Google.Protobuf.MessageExtensions.ToByteArray(Handshake.HelloCodecTests.Good()));

    // For other users, who go there by the working directory: the temporary folder above may be closed to them.
    private static LinkEndpoint OpenEndpoint(LinkLab lab)
    {
        File.SetUnixFileMode(lab.Folder, (UnixFileMode)0x1ed);
        return Endpoint(lab);
    }
}
