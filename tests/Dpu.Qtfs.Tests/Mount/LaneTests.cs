using System.Diagnostics;
using System.Text;
using Dpu.Fuse;
using Dpu.Link;
using Dpu.Link.Listener;
using Dpu.Linux;
using Dpu.Proto.V1;
using Dpu.Qtfs.Export;
using Dpu.Qtfs.Mount;
using Dpu.TestSupport;
using Microsoft.Extensions.Logging.Abstractions;

namespace Dpu.Qtfs.Tests.Mount;

/// <summary>A mount and its host in this process, joined by a unix socket or by TLS: what a request costs on its whole way.</summary>
[TestClass]
[DoNotParallelize]
public sealed unsafe class LaneTests
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(30);

    [TestMethod]
    [TestCategory("root")]
    [DataRow(false, MountTransport.Fuse)]
    [DataRow(true, MountTransport.Fuse)]
    [DataRow(false, MountTransport.IoUring)]
    public void Request_OnItsWholeWay_AllocatesNothing_AndIsCountedAtBothEnds(bool tls, MountTransport transport)
    {
        const int Calls = 2000;
        using var lab = new Lab(tls, transport);
        Assert.AreEqual(transport, lab.Mount.Transport, lab.Mount.RingRefusal);
        File.WriteAllText(Path.Combine(lab.Export, "file"), "content");
        byte[] path = Encoding.UTF8.GetBytes(Path.Combine(lab.Target, "file") + "\0");

        // Nothing is cached here, so that each call asks the host. The call itself is native: it allocates nothing.
        int Call()
        {
            fixed (byte* name = path)
            {
                return LibC.truncate(name, 3) == 0 ? 0 : System.Runtime.InteropServices.Marshal.GetLastSystemError();
            }
        }

        double least = double.PositiveInfinity;
        long requests = 0;
        for (int round = 0; round < 4; round++)
        {
            long before = lab.Mount.Counters.Totals.Requests, start = Stopwatch.GetTimestamp(), allocated = GC.GetTotalAllocatedBytes(precise: true);
            for (int i = 0; i < Calls; i++)
            {
                Assert.AreEqual(0, Call());
            }

            // Of all threads: both ends' lanes, and whatever else this process does, such as timers. What that comes to in the same
            // time is taken off.
            long busy = GC.GetTotalAllocatedBytes(precise: true) - allocated;
            allocated = GC.GetTotalAllocatedBytes(precise: true);
            Task.Delay(Stopwatch.GetElapsedTime(start)).Wait(Limit);
            long idle = GC.GetTotalAllocatedBytes(precise: true) - allocated;
            requests = lab.Mount.Counters.Totals.Requests - before;
            least = Math.Min(least, (busy - idle) / (double)requests);
        }

        Assert.IsGreaterThanOrEqualTo(Calls, requests, "the calls were answered by the kernel's cache");
        Assert.IsLessThan(1.0, least, "bytes a request");

        // What one end has sent the other has received; FUSE_INIT went before the mount counted. A lane counts once the
        // caller has its answer.
        Eventually.True(() => lab.Mount.InFlight == 0 && lab.Service.Statistics().Single().Operations.Sum(o => o.Requests) >= lab.Mount.Counters.Totals.Requests, Limit, "both ends have counted");
        Dictionary<string, FuseOperationStatistics> mount = lab.Mount.Counters.Operations.Snapshot().ToDictionary(o => o.Name);
        Dictionary<string, FuseOperationStatistics> export = lab.Service.Statistics().Single().Operations.ToDictionary(o => o.Name);
        foreach (string name in new[] { "FUSE_LOOKUP", "FUSE_SETATTR" })
        {
            Assert.AreEqual((export[name].Requests, export[name].RequestBytes, export[name].ReplyBytes), (mount[name].Requests, mount[name].RequestBytes, mount[name].ReplyBytes), name);

            // A ring lane has the answer while the host's thread still returns from sending it.
            Assert.IsTrue(transport == MountTransport.IoUring || export[name].TotalLatency < mount[name].TotalLatency, $"{name}: the way of the link is only in the mount's time");
        }

        Assert.AreEqual(4 * Calls, mount["FUSE_SETATTR"].Requests);
    }

    private sealed class Lab : IHostConnector, IDisposable
    {
        private readonly TemporaryDirectory _folder = new();
        private readonly LinkListener _listener;
        private readonly LinkCredentials? _host;
        private readonly LinkCredentials? _dpu;

        public Lab(bool tls, MountTransport transport)
        {
            if (tls)
            {
                CertificateAuthority authority = CertificateAuthority.Init(_folder["pki"], "test authority", TimeSpan.FromDays(30));
                _host = Credentials(authority, LinkRole.Host, "host1");
                _dpu = Credentials(authority, LinkRole.Dpu, "dpu1");
            }

            Export = _folder.CreateDirectory("export");
            Target = _folder.CreateDirectory("mnt");
            Service = new ExportService(new ExportServiceOptions(), TimeProvider.System, NullLogger<ExportService>.Instance);
            Service.Configure(
                [new ExportDefinition { Name = "data", Path = Export, ReadOnly = false, Peers = new HashSet<string> { "dpu1" }, Identity = IdentityPolicy.Trusting }],
                _ => new ExportLimits());
            _listener = new LinkListener(
                new LinkListenerOptions
                {
                    Endpoints = [tls ? LinkEndpoint.Tcp("127.0.0.1", 0) : LinkEndpoint.Parse($"unix://{_folder["link.sock"]}")],
                    Credentials = _host,
                    Policy = new LinkPeerPolicy(new LinkPeerRule("dpu1", Uid: 0)),
                    Local = new LinkLocal { Name = "host1" },
                },
                [Service]);
            _listener.Start();
            Mount = RemoteMount.Start(
                new RemoteMountOptions { Host = "host1", Export = "data", Target = Target, Transport = transport }, this, NullLogger.Instance, new SlowRequestLimit { Value = TimeSpan.FromSeconds(1) });
        }

        public ExportService Service { get; }

        public RemoteMount Mount { get; }

        public string Export { get; }

        public string Target { get; }

        public string HostName => "host1";

        public bool IsUp => true;

        public long Epoch => 1;

        public TimeSpan DownFor => TimeSpan.Zero;

        public bool WaitUp(TimeSpan limit) => true;

        public LinkConnection DialLane(FsParameters parameters, CancellationToken stopping) =>
            new LinkDialer(_dpu, new LinkDialerOptions { Local = new LinkLocal { Name = "dpu1" } })
                .Dial(_listener.Bound[0], "host1", "fs", new byte[16], hello => hello.Fs = parameters);

        private LinkCredentials Credentials(CertificateAuthority authority, LinkRole role, string name)
        {
            authority.Issue(role, name, TimeSpan.FromDays(7));
            return LinkCredentials.Load(new LinkCredentialFiles
            {
                Certificate = _folder[$"pki/{name}.crt"],
                Key = _folder[$"pki/{name}.key"],
                Authority = authority.CertificatePath,
                Revocations = authority.RevocationsPath,
            });
        }

        public void Dispose()
        {
            Mount.Unmount(lazy: true);
            Assert.IsTrue(Mount.Ended.Wait(Limit), "the mount did not end");
            _listener.Dispose();
            Service.Dispose();
            _host?.Dispose();
            _dpu?.Dispose();
            _folder.Dispose();
        }
    }
}
