using System.IO.Pipes;

namespace Dpu.TestSupport.Tests;

[TestClass]
[DoNotParallelize]
public sealed class LeakCheckTests
{
    private static readonly TimeSpan Moment = TimeSpan.FromMilliseconds(50);

    [TestMethod]
    [TestCategory("unit")]
    public void NothingLeft_OpenFile_IsNamed()
    {
        using TemporaryDirectory folder = new();
        string path = folder.WriteFile("held", "");
        LeakCheck check = LeakCheck.Start();
        using (File.OpenRead(path))
        {
            LeakException e = Assert.ThrowsExactly<LeakException>(() => check.NothingLeft(Moment));
            StringAssert.Contains(e.Message, path, StringComparison.Ordinal);
        }

        check.NothingLeft(TimeSpan.FromSeconds(10));
    }

    [TestMethod]
    [TestCategory("unit")]
    public void NothingLeft_NamedThread_IsNamed()
    {
        using ManualResetEventSlim end = new();
        LeakCheck check = LeakCheck.Start();
        Thread thread = new(() => end.Wait()) { Name = "left-over" };
        thread.Start();
        Assert.IsTrue(Eventually.Within(() => check.Leftovers().Contains("thread left-over"), TimeSpan.FromSeconds(10)));
        end.Set();
        check.NothingLeft(TimeSpan.FromSeconds(10));
    }

    [TestMethod]
    [TestCategory("unit")]
    public void Run_ActionThatLeaksEachTime_Fails()
    {
        List<IDisposable> leaked = [];
        try
        {
            Assert.ThrowsExactly<LeakException>(() => LeakCheck.Run(() => leaked.Add(new AnonymousPipeServerStream()), times: 3, Moment));
        }
        finally
        {
            leaked.ForEach(l => l.Dispose());
        }
    }
}
