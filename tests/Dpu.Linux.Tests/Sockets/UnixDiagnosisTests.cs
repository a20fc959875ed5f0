using System.Net.Sockets;
using Dpu.Linux.Sockets;
using Dpu.TestSupport;
using FsCheck;
using FsCheck.Fluent;

namespace Dpu.Linux.Tests.Sockets;

/// <summary>What the kernel says of the sockets that are bound to files.</summary>
[TestClass]
public sealed class UnixDiagnosisTests
{
    [TestMethod]
    [TestCategory("unit")]
    public void AnyAnswer_IsReadOrPassedOver()
    {
        // Headers whose lengths may be anything: near what there is, among them.
        Gen<byte[]> answers = Gen.Choose(0, 200).SelectMany(size => Gen.Choose(0, 60).Select(number => (byte)number).ArrayOf(size));
        Prop.ForAll(answers.ToArbitrary(), (byte[] bytes) =>
        {
            BoundSocket found = default;
            uint number = 0;
            _ = UnixDiagnosisReply.Read(bytes, 0, 0, 0, ref found, ref number);
            _ = UnixDiagnosisReply.Read(bytes, 1, 1, 1, ref found, ref number);
            return UnixDiagnosisReply.ReadSocket(bytes, uint.MaxValue, 1) == default;
        }).QuickCheckThrowOnFailure();
    }

    [TestMethod]
    [TestCategory("unit")]
    public void Find_OfAFile_SaysWhatIsBoundToIt()
    {
        using var folder = new TemporaryDirectory();
        string path = folder["s"];
        using var diagnosis = UnixDiagnosis.TryOpen();
        using (var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified))
        {
            socket.Bind(new UnixDomainSocketEndPoint(path));
            Assert.AreEqual(new BoundSocket(sys_socket.SOCK_STREAM, false), Find(path));
            socket.Listen();
            Assert.AreEqual(new BoundSocket(sys_socket.SOCK_STREAM, true), Find(path));
            Assert.AreEqual(new BoundSocket(sys_socket.SOCK_STREAM, true), Find(path), "asked for again");
            File.Move(path, path += "2");
            Assert.AreEqual(new BoundSocket(sys_socket.SOCK_STREAM, true), Find(path), "by its file, not by its name");
            File.Copy("/dev/null", folder["other"]);
            Assert.AreEqual(default, Find(folder["other"]));
        }

        Assert.IsTrue(File.Exists(path), "closed, it leaves its file");
        Assert.AreEqual(default, Find(path), "and nothing is bound to that");
        using (var next = new Socket(AddressFamily.Unix, SocketType.Dgram, ProtocolType.Unspecified))
        {
            File.Delete(path);
            next.Bind(new UnixDomainSocketEndPoint(path));
            Assert.AreEqual(new BoundSocket(sys_socket.SOCK_DGRAM, true), Find(path), "another one in its place, be it of the same inode");
        }

        unsafe BoundSocket Find(string file)
        {
            statx status;
            fixed (byte* name = System.Text.Encoding.UTF8.GetBytes(file + '\0'))
            {
                // SAFETY: a NUL-terminated string, pinned; the kernel fills the local.
                Assert.AreEqual(0, LibC.statx(fcntl.AT_FDCWD, name, 0, stat.STATX_BASIC_STATS, &status));
            }

            return diagnosis!.Find(((ulong)status.stx_dev_major << 32) | status.stx_dev_minor, status.stx_ino);
        }
    }
}
