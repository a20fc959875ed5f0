using System.Net.Sockets;
using Dpu.Link.Sockets;
using Dpu.Linux;

namespace Dpu.Link.Tests.Sockets;

/// <summary>What of vsock can be tested where no other machine is at the other end.</summary>
[TestClass]
public sealed class VsockTests
{
    [TestMethod, TestCategory("root")]
    public void Open_VsockSocket_IsBlockingAndCanBeWrapped()
    {
        Assert.AreEqual(0, NativeSocket.Open(sys_socket.AF_VSOCK, out var handle));
        using var socket = new Socket(handle!);
        Assert.IsTrue(socket.Blocking);
        using var stream = new LinkStream(socket, TimeProvider.System);
        Assert.ThrowsExactly<IOException>(() => stream.Read(new byte[1]));
    }

    [TestMethod, TestCategory("root")]
    public void Listen_AnyCid_BindsAndStopsInBoundedTime()
    {
        using var lab = new LinkLab();
        var port = (uint)(0x40000000 + Environment.ProcessId);
        var listener = lab.Listen(lab.Credentials(LinkRole.Host, "host1"), LinkEndpoint.Parse($"vsock://any:{port}"));
        Assert.AreEqual(port, listener.Bound[0].Port);
        Assert.IsTrue(listener.Stop());
    }

    [TestMethod, TestCategory("root")]
    public void Dial_NobodyThere_FailsClearlyWithinItsLimit()
    {
        using var lab = new LinkLab();
        var dialer = lab.Dialer(lab.Credentials(LinkRole.Dpu, "dpu1"), o => o with { ConnectLimit = TimeSpan.FromSeconds(1) });
        var e = LinkLab.Fails(() => dialer.Dial(LinkEndpoint.Parse("vsock://4000000000:7443"), "host1", "fs", LinkLab.Session));
        Assert.IsTrue(e.Kind is LinkError.Unreachable or LinkError.Timeout, e.ToString());
        StringAssert.Contains(e.Message, "vsock://4000000000:7443");
    }

    [TestMethod, TestCategory("unit")]
    public void Of_VsockEndpoint_IsASockaddrVm()
    {
        var address = SocketAddresses.Of(LinkEndpoint.Vsock(3, 0x11223344));
        CollectionAssert.AreEqual(new byte[] { 40, 0, 0, 0, 0x44, 0x33, 0x22, 0x11, 3, 0, 0, 0, 0, 0, 0, 0 }, address);
        Assert.AreEqual("vsock cid 3", SocketAddresses.Origin(address));
        Assert.AreEqual(0x11223344u, SocketAddresses.Port(address));
    }

    [TestMethod, TestCategory("unit")]
    public void Origin_Addresses_AreCountedByMachine()
    {
        Assert.AreEqual("192.0.2.7", Origin("192.0.2.7"));
        Assert.AreEqual("192.0.2.7", Origin("::ffff:192.0.2.7"));
        Assert.AreEqual("2001:db8:1:2::/64", Origin("2001:db8:1:2:3:4:5:6"));
        Assert.AreEqual("unix", SocketAddresses.Origin([]));

        static string Origin(string address) => SocketAddresses.Origin(SocketAddresses.Of(new System.Net.IPEndPoint(System.Net.IPAddress.Parse(address), 1)));
    }

    [TestMethod, TestCategory("unit")]
    public void KeepAlive_Applied_IsWhatTheKernelHas()
    {
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        KeepAlive.Apply(socket.SafeHandle, TimeSpan.FromSeconds(15));
        Assert.IsTrue(socket.NoDelay);
        Assert.AreEqual(1, Get(sys_socket.SOL_SOCKET, sys_socket.SO_KEEPALIVE));
        Assert.AreEqual(5, Get(netinet_in.IPPROTO_TCP, netinet_tcp.TCP_KEEPIDLE));
        Assert.AreEqual(2, Get(netinet_in.IPPROTO_TCP, netinet_tcp.TCP_KEEPINTVL));
        Assert.AreEqual(15000, Get(netinet_in.IPPROTO_TCP, netinet_tcp.TCP_USER_TIMEOUT));

        int Get(int level, int option)
        {
            Span<byte> value = stackalloc byte[4];
            socket.GetRawSocketOption(level, option, value);
            return BitConverter.ToInt32(value);
        }
    }
}
