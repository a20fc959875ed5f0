using System.Runtime.InteropServices;
using Dpu.Fuse.Tests.Support;
using Dpu.Fuse.Wire;

namespace Dpu.Fuse.Tests.Dispatcher;

[TestClass]
public sealed unsafe class AllocationTests
{
    [TestMethod, TestCategory("unit")]
    public void Dispatch_OfEveryOpcode_AllocatesNothing()
    {
        var dispatcher = new FuseDispatcher(new HostileFileSystem(), new FuseDispatcherOptions { Resume = new FuseNegotiation(41, FuseFeatures.Default, FuseLimits.MaxWrite) });
        byte[][] messages = [.. DecodingCases.All.Values.Select(item => item.Request), .. DecodingCases.Unanswered.Values.Select(item => item.Request),
            new RequestBuilder(fuse_opcode.FUSE_MKDIR).Struct(default(fuse_mkdir_in)).Name("d").Groups(1, 2, 3).Build(),
            new RequestBuilder(fuse_opcode.FUSE_LOOKUP).Name("..").Build(), new RequestBuilder(fuse_opcode.FUSE_BMAP).Build()];
        byte* request = (byte*)NativeMemory.AlignedAlloc(FuseLimits.MaxMessageSize, 4096);
        byte* reply = (byte*)NativeMemory.AlignedAlloc(FuseLimits.MaxMessageSize, 4096);
        try
        {
            long allocated = long.MaxValue;

            // The first rounds compile; tiers may compile once more, so that the least of several rounds counts.
            for (int round = 0; round < 5; round++)
            {
                long before = GC.GetAllocatedBytesForCurrentThread();
                foreach (byte[] message in messages)
                {
                    message.CopyTo(new Span<byte>(request, message.Length));
                    for (int i = 0; i < 20; i++)
                    {
                        dispatcher.Dispatch(request, message.Length, reply, FuseLimits.MaxMessageSize);
                    }
                }

                allocated = Math.Min(allocated, GC.GetAllocatedBytesForCurrentThread() - before);
            }

            Assert.AreEqual(0, allocated);
        }
        finally
        {
            NativeMemory.AlignedFree(request);
            NativeMemory.AlignedFree(reply);
        }
    }
}
