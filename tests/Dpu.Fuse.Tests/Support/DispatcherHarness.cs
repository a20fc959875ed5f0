using System.Runtime.InteropServices;
using Dpu.Fuse.Wire;
using Dpu.TestSupport;

namespace Dpu.Fuse.Tests.Support;

/// <summary>A reply as it stands on the wire.</summary>
/// <param name="Result">What Dispatch returned.</param>
/// <param name="Error">The header's error.</param>
/// <param name="Payload">What follows the header.</param>
internal sealed record Reply(int Result, int Error, byte[] Payload)
{
    internal T As<T>() where T : unmanaged
    {
        Assert.AreEqual(0, Error, "an error instead of a reply");
        return MemoryMarshal.Read<T>(Payload);
    }
}

/// <summary>A dispatcher between buffers that end at closed pages, with a check of what every reply must be.</summary>
internal sealed unsafe class DispatcherHarness : IDisposable
{
    internal const uint KernelMinor = 41;

    private const byte Canary = 0xA5;
    private const int CanarySize = 64;
    private readonly GuardedBuffer _request = new(FuseLimits.MaxMessageSize);
    private readonly GuardedBuffer _reply = new(FuseLimits.MaxMessageSize + CanarySize);

    internal DispatcherHarness(FuseFileSystem fileSystem, FuseDispatcherOptions? options = null, bool init = true)
    {
        Dispatcher = new FuseDispatcher(fileSystem, options ?? new FuseDispatcherOptions { OnBug = (_, _, bug) => Bugs.Add(bug) });
        if (init)
        {
            Assert.AreEqual(0, Send(Init(ulong.MaxValue)).Error, "FUSE_INIT failed");
        }
    }

    internal FuseDispatcher Dispatcher { get; }

    internal List<Exception> Bugs { get; } = [];

    internal static byte[] Init(ulong flags, uint major = 7, uint minor = KernelMinor) => new RequestBuilder(fuse_opcode.FUSE_INIT, 0)
        .Struct(new fuse_init_in { major = major, minor = minor, max_readahead = 131072, flags = (uint)flags, flags2 = (uint)(flags >> 32) }).Build();

    internal Reply Send(RequestBuilder request, int capacity = FuseLimits.MaxMessageSize) => Send(request.Build(), capacity);

    internal Reply Send(byte[] message, int capacity = FuseLimits.MaxMessageSize)
    {
        byte* request = _request.Tail(message.Length);
        message.CopyTo(new Span<byte>(request, message.Length));
        byte* reply = _reply.Tail(capacity);
        var canary = new Span<byte>(reply - CanarySize, CanarySize);
        canary.Fill(Canary);
        int result = Dispatcher.Dispatch(request, message.Length, reply, capacity);
        Assert.AreEqual(-1, canary.IndexOfAnyExcept(Canary), "written before the reply");
        if (result <= 0)
        {
            Assert.IsTrue(result is 0 or FuseDispatcher.Violation, $"Dispatch returned {result}");
            return new Reply(result, 0, []);
        }

        Assert.IsGreaterThanOrEqualTo(sizeof(fuse_out_header), result);
        Assert.IsLessThanOrEqualTo(capacity, result);
        fuse_out_header header = *(fuse_out_header*)reply;
        Assert.AreEqual((uint)result, header.len);
        Assert.AreEqual(MemoryMarshal.Read<fuse_in_header>(message).unique, header.unique);
        Assert.IsTrue(header.error is <= 0 and > -512, $"error {header.error}");
        Assert.IsTrue(header.error == 0 || result == sizeof(fuse_out_header), "an error with a payload");
        return new Reply(result, header.error, new ReadOnlySpan<byte>(reply + sizeof(fuse_out_header), result - sizeof(fuse_out_header)).ToArray());
    }

    public void Dispose()
    {
        _request.Dispose();
        _reply.Dispose();
    }
}
