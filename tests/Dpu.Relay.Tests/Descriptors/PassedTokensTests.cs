using Dpu.Relay.Descriptors;
using Microsoft.Win32.SafeHandles;

namespace Dpu.Relay.Tests.Descriptors;

[TestClass]
public sealed class PassedTokensTests
{
    [TestMethod]
    [TestCategory("unit")]
    public void Token_IsOfItsSession_AndForOnce_AndOfThemThereIsALimit()
    {
        using var tokens = new PassedTokens(TimeProvider.System);
        byte[] token = PassedTokens.Create();
        Assert.IsTrue(tokens.TryAdd("a", token, new SafeFileHandle(), DescriptorKind.Socket, DescriptorFlags.Messages));
        Assert.IsFalse(tokens.TryAdd("a", token, new SafeFileHandle(), DescriptorKind.Socket, DescriptorFlags.None), "twice");
        Assert.IsFalse(tokens.TryTake("b", token, out _, out _, out _), "another session's");
        Assert.IsTrue(tokens.TryTake("a", token, out _, out DescriptorKind kind, out DescriptorFlags flags));
        Assert.AreEqual((DescriptorKind.Socket, DescriptorFlags.Messages), (kind, flags));
        Assert.IsFalse(tokens.TryTake("a", token, out _, out _, out _), "again");
        for (int i = 0; i < PassedTokens.MostOfSession; i++)
        {
            Assert.IsTrue(tokens.TryAdd("a", PassedTokens.Create(), new SafeFileHandle(), DescriptorKind.Socket, DescriptorFlags.None));
        }

        Assert.IsFalse(tokens.TryAdd("a", PassedTokens.Create(), new SafeFileHandle(), DescriptorKind.Socket, DescriptorFlags.None), "too many");
        Assert.IsTrue(tokens.TryAdd("b", PassedTokens.Create(), new SafeFileHandle(), DescriptorKind.Socket, DescriptorFlags.None), "of another session");
    }
}
