namespace Dpu.Linux.Tests;

[TestClass]
public sealed class ProcessProtectionTests
{
    [TestMethod, TestCategory("root")]
    public void ProtectCurrentThread_Result_IsWhatTheKernelHas()
    {
        ProtectionResult? result = null;
        int flag = 0;

        // On a thread of its own: the flag stays for its life.
        var thread = new Thread(() =>
        {
            result = ProcessProtection.ProtectCurrentThread();
            flag = LibC.Result(LibC.prctl(prctl.PR_GET_IO_FLUSHER, 0, 0, 0, 0));
        });
        thread.Start();
        thread.Join();
        Assert.AreEqual(result, ProcessProtection.Threads);
        if (result!.Applied)
        {
            Assert.AreEqual(1, flag);
        }
        else
        {
            Assert.AreEqual(-errno.EPERM, flag, "refused although the capability is there");
            Assert.IsTrue(result.ToString().Contains("CAP_SYS_RESOURCE", StringComparison.Ordinal), result.ToString());
        }
    }

    [TestMethod, TestCategory("root")]
    public void ProtectProcess_Result_IsWhatTheKernelHas()
    {
        string before = File.ReadAllText("/proc/self/oom_score_adj").Trim();
        ProtectionResult result = ProcessProtection.ProtectProcess(-17);
        string after = File.ReadAllText("/proc/self/oom_score_adj").Trim();
        try
        {
            Assert.AreEqual(result.Applied ? "-17" : before, after);
            Assert.IsTrue(result.Applied || result.Failure!.Contains("CAP_SYS_RESOURCE", StringComparison.Ordinal), result.ToString());
        }
        finally
        {
            File.WriteAllText("/proc/self/oom_score_adj", before);
        }
    }

    [TestMethod, TestCategory("root")]
    public void ProtectProcess_OutOfRange_SaysWhy()
    {
        ProtectionResult result = ProcessProtection.ProtectProcess(-5000);
        Assert.IsFalse(result.Applied);
        Assert.IsTrue(result.ToString().Contains("-5000", StringComparison.Ordinal), result.ToString());
    }
}
