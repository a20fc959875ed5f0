[assembly: DoNotParallelize]

namespace Dpu.Keeper.Tests;

[TestClass]
public static class AssemblySettings
{
    [AssemblyCleanup]
    public static void End() => KeeperProcess.RemoveBuild();
}
