using Dpu.Fuse;
using Dpu.Fuse.Wire;
using Dpu.Linux;
using Dpu.Qtfs.Mount;

namespace Dpu.Qtfs.Tests.Mount;

[TestClass]
public sealed unsafe class InitExchangeTests
{
    private static readonly fuse_init_in s_asked = new()
    {
        major = FuseConstants.FUSE_KERNEL_VERSION,
        minor = 38,
        max_readahead = 131072,
        flags = 0x0f,
        flags2 = 0x01,
    };

    [TestMethod]
    [TestCategory("unit")]
    public void Agree_HostThatOffersEverything_GetsWhatTheKernelOfferedAndOurBuffersHold()
    {
        var exchange = new InitExchange { AllowLocks = true };
        (int length, int error, fuse_init_out agreed) = Agree(exchange, new fuse_init_out
        {
            major = FuseConstants.FUSE_KERNEL_VERSION,
            minor = uint.MaxValue,
            flags = uint.MaxValue,
            flags2 = uint.MaxValue,
            max_readahead = uint.MaxValue,
            max_write = uint.MaxValue,
        });
        Assert.AreEqual(0, error);
        Assert.AreEqual(sizeof(fuse_out_header) + sizeof(fuse_init_out), length);
        Assert.AreEqual(s_asked.minor, agreed.minor);
        Assert.AreEqual(s_asked.flags, agreed.flags);
        Assert.AreEqual(s_asked.flags2, agreed.flags2);
        Assert.AreEqual(s_asked.max_readahead, agreed.max_readahead);
        Assert.AreEqual((uint)FuseLimits.MaxWrite, agreed.max_write);
        Assert.IsNull(exchange.Refusal);
        Assert.IsTrue(exchange.Answered.IsSet);
    }

    [TestMethod]
    [TestCategory("unit")]
    public void Agree_LocksThatWereNotAskedFor_StayTheKernels()
    {
        var exchange = new InitExchange();
        (_, _, fuse_init_out agreed) = Agree(exchange, new fuse_init_out { major = FuseConstants.FUSE_KERNEL_VERSION, minor = 38, flags = uint.MaxValue, max_write = 4096 });
        Assert.AreEqual(s_asked.flags & ~(uint)FuseFeatures.Locks, agreed.flags);
        Assert.AreEqual(0ul, exchange.Features & FuseFeatures.Locks);
    }

    [TestMethod]
    [TestCategory("unit")]
    [DataRow(false)]
    [DataRow(true)]
    public void Agree_Rings_AreThisEndsToAgreeToAndNotTheHosts(bool ready)
    {
        const uint Rings = (uint)(FuseUringConstants.FUSE_OVER_IO_URING >> 32);
        var exchange = new InitExchange { AllowRings = ready };
        fuse_init_in asked = s_asked with { flags = s_asked.flags | FuseConstants.FUSE_INIT_EXT, flags2 = Rings };
        (_, _, fuse_init_out agreed) = Agree(
            exchange,
            new fuse_init_out { major = FuseConstants.FUSE_KERNEL_VERSION, minor = 38, flags = uint.MaxValue, flags2 = uint.MaxValue, max_write = 4096 },
            asked: asked);
        Assert.AreEqual(ready ? Rings : 0, agreed.flags2 & Rings);
        Assert.AreEqual(ready, exchange.HasRings);
        Assert.AreEqual(0ul, exchange.Features & FuseUringConstants.FUSE_OVER_IO_URING, "a host that comes back need not offer them");
    }

    [TestMethod]
    [TestCategory("unit")]
    [DataRow(FuseConstants.FUSE_KERNEL_VERSION + 1, 0u, 0, 0, -errno.EPROTO, "FUSE 8.0")]
    [DataRow(FuseConstants.FUSE_KERNEL_VERSION, FuseLimits.OldestMinorVersion - 1, 0, 0, -errno.EPROTO, "is the oldest")]
    [DataRow(FuseConstants.FUSE_KERNEL_VERSION, 38u, -errno.EACCES, 0, -errno.EACCES, "errno 13")]
    [DataRow(FuseConstants.FUSE_KERNEL_VERSION, 38u, 0, 1, -errno.EPROTO, "bytes")]
    public void Agree_AnswerThatIsNone_IsAnErrorForTheKernelAndAReason(uint major, uint minor, int error, int missing, int expected, string reason)
    {
        var exchange = new InitExchange();
        (int length, int told, _) = Agree(exchange, new fuse_init_out { major = major, minor = minor, max_write = 4096 }, error, missing);
        Assert.AreEqual(expected, told);
        Assert.AreEqual(sizeof(fuse_out_header), length, "an error has no body");
        Assert.Contains(reason, exchange.Refusal!);
        Assert.IsTrue(exchange.Answered.IsSet, "whoever mounts is not left to wait");
    }

    private static (int Length, int Error, fuse_init_out Body) Agree(InitExchange exchange, fuse_init_out answer, int error = 0, int missing = 0, fuse_init_in? asked = null)
    {
        byte[] request = new byte[sizeof(fuse_in_header) + sizeof(fuse_init_in)];
        byte[] reply = new byte[sizeof(fuse_out_header) + sizeof(fuse_init_out)];
        int length = error == 0 ? reply.Length - missing : sizeof(fuse_out_header);

        // SAFETY: both arrays are as long as the structs that are written into them.
        fixed (byte* question = request, answered = reply)
        {
            *(fuse_init_in*)(question + sizeof(fuse_in_header)) = asked ?? s_asked;
            *(fuse_out_header*)answered = new fuse_out_header { len = (uint)length, error = error };
            *(fuse_init_out*)(answered + sizeof(fuse_out_header)) = answer;
            exchange.Agree(question, request.Length, answered, ref length);
            Assert.AreEqual((uint)length, ((fuse_out_header*)answered)->len);
            return (length, ((fuse_out_header*)answered)->error, *(fuse_init_out*)(answered + sizeof(fuse_out_header)));
        }
    }
}
