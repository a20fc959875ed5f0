using Dpu.Fuse.Ring;

namespace Dpu.Fuse.Tests.Server;

/// <summary>What is said where there is no io_uring for FUSE.</summary>
[TestClass]
public sealed class RingSupportTests
{
    [TestMethod, TestCategory("unit")]
    public void FindRefusal_OfKernelsWithoutIt_SaysWhatToDo()
    {
        Assert.Contains("6.14", FuseRingSupport.FindRefusal("/sys/module/fuse/parameters/no_such")!);

        // A file of the kernel that takes no "Y".
        Assert.Contains("enable_uring=1", FuseRingSupport.FindRefusal("/proc/version")!);
    }

    [TestMethod, TestCategory("unit")]
    [DataRow("0\n", 1)]
    [DataRow("0-1\n", 2)]
    [DataRow("0-3,8-9,12\n", 7)]
    public void CountProcessors_OfAList_CountsEach(string list, int count) => Assert.AreEqual(count, FuseRingSupport.CountProcessors(list));
}
