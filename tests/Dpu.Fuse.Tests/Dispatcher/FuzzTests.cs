using Dpu.Fuse.Tests.Support;
using Dpu.Fuse.Wire;
using FsCheck;
using FsCheck.Fluent;

namespace Dpu.Fuse.Tests.Dispatcher;

/// <summary>
/// Any bytes at all: Dispatch does not throw, stays within both buffers (they end at closed pages, and the harness checks
/// a canary before the reply), and every reply is well formed (the harness checks each).
/// </summary>
[TestClass]
public sealed class FuzzTests
{
    private static readonly byte[][] Valid =
        [.. DecodingCases.All.Values.Select(item => item.Request), .. DecodingCases.Unanswered.Values.Select(item => item.Request), DispatcherHarness.Init(ulong.MaxValue),
            new RequestBuilder(fuse_opcode.FUSE_CREATE).Struct(default(fuse_create_in)).Name("a").Groups(1, 2).Build()];

    private static Config Many => Config.QuickThrowOnFailure.WithMaxTest(3000);

    [TestMethod, TestCategory("unit")]
    public void Dispatch_OfRandomBytes_HoldsItsPromises()
    {
        using var harness = new DispatcherHarness(new HostileFileSystem());
        Prop.ForAll(ArbMap.Default.ArbFor<byte[]>(), bytes => Send(harness, bytes, capacity: 1000)).Check(Many);
    }

    [TestMethod, TestCategory("unit")]
    public void Dispatch_OfRandomBodies_HoldsItsPromises()
    {
        using var harness = new DispatcherHarness(new HostileFileSystem());
        Gen<(uint Opcode, byte[] Body, int Extension, int Capacity)> cases =
            from opcode in Gen.Choose(0, 60)
            from body in ArbMap.Default.GeneratorFor<byte[]>()
            from extension in Gen.Frequency((4, Gen.Constant(0)), (1, Gen.Choose(0, 4)))
            from capacity in Gen.Choose(0, 400)
            select ((uint)opcode, body, extension, capacity);
        Prop.ForAll(cases.ToArbitrary(), item =>
        {
            byte[] message = new RequestBuilder((fuse_opcode)item.Opcode).Bytes(item.Body).Build();
            message[36] = (byte)item.Extension;
            return Send(harness, message, item.Capacity);
        }).Check(Many);
    }

    [TestMethod, TestCategory("unit")]
    public void Dispatch_OfMutatedRequests_HoldsItsPromises()
    {
        using var harness = new DispatcherHarness(new HostileFileSystem());
        Gen<(int Which, (int Where, byte What)[] Changes, int Cut, int Capacity, bool TrueLength)> cases =
            from which in Gen.Choose(0, Valid.Length - 1)
            from changes in (from place in Gen.Choose(4, 200) from value in Gen.Choose(0, 255) select (place, (byte)value)).ArrayOf()
            from cut in Gen.Frequency((3, Gen.Constant(0)), (2, Gen.Choose(0, 120)))
            from capacity in Gen.Elements(16, 24, 32, 100, 160, 176, 5000, FuseLimits.MaxMessageSize)
            from trueLength in Gen.Frequency((9, Gen.Constant(true)), (1, Gen.Constant(false)))
            select (which, changes, cut, capacity, trueLength);
        Prop.ForAll(cases.ToArbitrary(), item =>
        {
            byte[] message = Valid[item.Which][..Math.Max(0, Valid[item.Which].Length - item.Cut)];
            foreach ((int where, byte what) in item.Changes)
            {
                if (where < message.Length)
                {
                    message[where] = what;
                }
            }

            if (item.TrueLength && message.Length >= 4)
            {
                BitConverter.TryWriteBytes(message, (uint)message.Length);
            }

            return Send(harness, message, item.Capacity);
        }).Check(Many);
        Assert.IsEmpty(harness.Bugs, "an exception out of the dispatcher itself");
    }

    private static bool Send(DispatcherHarness harness, byte[] message, int capacity)
    {
        if (message.Length >= 8 && BitConverter.ToUInt32(message, 4) == (uint)fuse_opcode.FUSE_DESTROY)
        {
            // Everything later would be EIO.
            return true;
        }

        harness.Send(message, capacity);
        return true;
    }
}
