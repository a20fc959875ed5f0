using Dpu.Linux;
using Dpu.Relay.Descriptors;
using Dpu.Relay.Flow;
using Dpu.TestSupport;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Win32.SafeHandles;

namespace Dpu.Relay.Tests;

/// <summary>Two ends of a link, and descriptors of one that have twins at the other.</summary>
internal sealed class Twins : IDisposable
{
    public static readonly TimeSpan Limit = TimeSpan.FromSeconds(20);

    private readonly RelayHub _one = new(TimeProvider.System, NullLogger<RelayHub>.Instance);
    private readonly RelayHub _other = new(TimeProvider.System, NullLogger<RelayHub>.Instance);
    private IDisposable? _breaker;

    public void Dispose()
    {
        _one.Dispose();
        _other.Dispose();
    }

    /// <summary>What a program of the other end gets for what a program of this one passes, which keeps it.</summary>
    public SafeFileHandle Pass(SafeFileHandle original)
    {
        PassedDescriptor what = DescriptorClassifier.Classify((int)original.DangerousGetHandle(), out string reason);
        Assert.AreEqual("", reason);
        int copy = LibC.dup((int)original.DangerousGetHandle());
        SafeFileHandle? own = new(copy, ownsHandle: true);
        if (what.Kind == DescriptorKind.Terminal)
        {
            using SafeFileHandle given = own;
            own = Descriptor.TryOpenAgain(given, fcntl.O_RDWR | fcntl.O_NONBLOCK, out reason);
        }

        byte[] token = PassedTokens.Create();
        Assert.IsTrue(Descriptor.TryMakePair(what, out SafeFileHandle? programs, out SafeFileHandle? end));
        SafeFileHandle here = _one.TryAttach(own!, what, isTwin: false, "other", token, out reason)!;
        SafeFileHandle there = _other.TryAttach(end!, what, isTwin: true, "one", token, out reason)!;
        Assert.AreEqual("", reason);
        Assert.IsTrue(LocalSocket.TryPair(SocketKind.Stream, out SafeFileHandle? link, out int far));
        _breaker = _one.Start(here, new Wire(link), new RelayInfo("other", "/x", SocketKind.SeqPacket, 0, 0, 0));
        _ = _other.Start(there, new Wire(new SafeFileHandle(far, ownsHandle: true)), new RelayInfo("one", "/x", SocketKind.SeqPacket, 0, 0, 0));
        return programs!;
    }

    /// <summary>The link breaks, and does not come back.</summary>
    public void Break() => _breaker!.Dispose();

    public void AssertOver() => Eventually.True(() => _one.Count == 0 && _other.Count == 0 && _one.Counters.Count == 0 && _other.Counters.Count == 0, Limit, $"the relays' ends: {_one.Count} and {_other.Count}");

    private sealed class Wire(SafeFileHandle end) : IRelayLink
    {
        public int Descriptor => (int)end.DangerousGetHandle();

        public void Dispose() => end.Dispose();
    }
}
