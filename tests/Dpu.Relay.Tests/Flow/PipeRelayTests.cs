using System.Text;
using Dpu.Linux;
using Dpu.Relay.Descriptors;
using Dpu.Relay.Flow;
using Dpu.TestSupport;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Win32.SafeHandles;

namespace Dpu.Relay.Tests.Flow;

/// <summary>Pipes at both ends of a relay, beside one pipe.</summary>
[TestClass]
public sealed class PipeRelayTests : IDisposable
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(20);

    private readonly RelayHub _one = new(TimeProvider.System, NullLogger<RelayHub>.Instance);
    private readonly RelayHub _other = new(TimeProvider.System, NullLogger<RelayHub>.Instance);

    public void Dispose()
    {
        _one.Dispose();
        _other.Dispose();
    }

    [TestMethod]
    [TestCategory("unit")]
    public void WriterThatEnds_IsReadToTheEnd_AndNothingIsLeft()
    {
        (SafeFileHandle writer, SafeFileHandle reader) = Join();
        using var stream = new FileStream(reader, FileAccess.Read, 0);
        using (var written = new FileStream(writer, FileAccess.Write, 0))
        {
            written.Write("all of it"u8);
        }

        Assert.AreEqual("all of it", new StreamReader(stream, Encoding.ASCII).ReadToEnd());
        AssertOver();
    }

    [TestMethod]
    [TestCategory("unit")]
    public void ReaderThatGoes_IsEpipeForTheWriter_AndNothingIsLeft()
    {
        (SafeFileHandle writer, SafeFileHandle reader) = Join();
        reader.Dispose();
        using var stream = new FileStream(writer, FileAccess.Write, 0);
        byte[] block = new byte[4096];
        Eventually.True(
            () =>
            {
                try
                {
                    stream.Write(block);
                    return false;
                }
                catch (IOException)
                {
                    // EPIPE.
                    return true;
                }
            },
            Limit,
            "EPIPE");
        AssertOver();
    }

    private void AssertOver() => Eventually.True(() => _one.Count == 0 && _other.Count == 0, Limit, $"the relays' ends: {_one.Count} and {_other.Count}");

    private (SafeFileHandle Writer, SafeFileHandle Reader) Join()
    {
        Assert.IsTrue(LocalSocket.TryPair(SocketKind.Stream, out SafeFileHandle? link, out int far));
        Assert.IsTrue(Descriptor.TryMakePair(new(DescriptorKind.PipeToWrite, DescriptorFlags.None), out SafeFileHandle? writer, out SafeFileHandle? read));
        Assert.IsTrue(Descriptor.TryMakePair(new(DescriptorKind.PipeToRead, DescriptorFlags.None), out SafeFileHandle? reader, out SafeFileHandle? written));
        _ = _one.Start(read!, new Wire(link), new RelayInfo("peer", "/pipe", SocketKind.Stream, 0, 0, 0) { End = LocalEnd.FileToRead });
        _ = _other.Start(written!, new Wire(new SafeFileHandle(far, ownsHandle: true)), new RelayInfo("peer", "/pipe", SocketKind.Stream, 0, 0, 0) { End = LocalEnd.FileToWrite });
        return (writer!, reader!);
    }

    private sealed class Wire(SafeFileHandle end) : IRelayLink
    {
        public int Descriptor => (int)end.DangerousGetHandle();

        public void Dispose() => end.Dispose();
    }
}
