using Dpu.Relay.Descriptors;
using FsCheck;
using FsCheck.Fluent;

namespace Dpu.Relay.Tests.Descriptors;

[TestClass]
public sealed class DescriptorListTests
{
    private static readonly PassedDescriptor[] Sound =
    [
        PassedDescriptor.Refused,
        new(DescriptorKind.File, DescriptorFlags.ReadWrite | DescriptorFlags.Append) { Value = 12, Mount = 3, Node = 5 },
        new(DescriptorKind.File, DescriptorFlags.Directory) { Mount = 3, Name = "a/b"u8.ToArray() },
        new(DescriptorKind.PipeToWrite, DescriptorFlags.WriteOnly) { Name = new byte[PassedDescriptor.TokenSize] },
        new(DescriptorKind.Device, DescriptorFlags.ReadWrite) { Value = 3 },
        new(DescriptorKind.Terminal, DescriptorFlags.ReadWrite | DescriptorFlags.Messages) { Name = new byte[PassedDescriptor.TokenSize], Settings = new byte[Dpu.Relay.Terminals.TerminalSettings.Size] },
        new(DescriptorKind.TerminalMaster, DescriptorFlags.ReadWrite) { Name = new byte[PassedDescriptor.TokenSize] },
        new(DescriptorKind.SameTerminal, DescriptorFlags.WriteOnly) { Name = new byte[PassedDescriptor.TokenSize] },
        new(DescriptorKind.Interface, DescriptorFlags.ReadWrite) { Value = 0x5002 | (12L << 32), Name = "vnet0"u8.ToArray() },
    ];

    [TestMethod]
    [TestCategory("unit")]
    public void List_ThatWasWritten_IsRead()
    {
        Assert.IsTrue(DescriptorList.TryRead(DescriptorList.Write(Sound), out PassedDescriptor[]? read));
        Assert.HasCount(Sound.Length, read);
        for (int i = 0; i < read.Length; i++)
        {
            Assert.AreEqual(Sound[i] with { Name = default, Settings = default }, read[i] with { Name = default, Settings = default });
            CollectionAssert.AreEqual(Sound[i].Settings.ToArray(), read[i].Settings.ToArray());
            CollectionAssert.AreEqual(Sound[i].Name.ToArray(), read[i].Name.ToArray());
        }
    }

    [TestMethod]
    [TestCategory("unit")]
    public void AnyBytes_AreReadOrRefused_WithinTheirBounds() => Prop.ForAll<byte[]>(bytes =>
    {
        if (DescriptorList.TryRead(bytes, out PassedDescriptor[]? read))
        {
            Assert.IsTrue(read.Length is > 0 and <= 253);
        }
    }).QuickCheckThrowOnFailure();

    [TestMethod]
    [TestCategory("unit")]
    public void SoundList_WithAnyByteChanged_IsReadOrRefused_WithinItsBounds()
    {
        byte[] list = DescriptorList.Write(Sound);
        for (int at = 0; at < list.Length; at++)
        {
            foreach (byte value in (byte[])[0, 1, 7, 127, 128, 255])
            {
                byte[] changed = [.. list];
                changed[at] = value;
                if (DescriptorList.TryRead(changed, out PassedDescriptor[]? read))
                {
                    Assert.HasCount(Sound.Length, read, $"byte {at} as {value}");
                }
            }
        }

        for (int length = 0; length < list.Length; length++)
        {
            Assert.IsFalse(DescriptorList.TryRead(list.AsSpan(0, length), out _), $"cut after {length} bytes");
        }
    }

    [TestMethod]
    [TestCategory("unit")]
    public void WhatNoProgramCanHavePassed_IsRefused()
    {
        PassedDescriptor[] bad =
        [
            new(DescriptorKind.File, DescriptorFlags.None) { Value = -1 },
            new(DescriptorKind.Terminal, DescriptorFlags.ReadWrite) { Name = new byte[PassedDescriptor.TokenSize], Settings = new byte[7] },
            new(DescriptorKind.Interface, DescriptorFlags.ReadWrite) { Value = 0x5002, Name = "../x"u8.ToArray() },
            new(DescriptorKind.Interface, DescriptorFlags.ReadWrite) { Value = 0x5002, Name = "tap%d"u8.ToArray() },
            new(DescriptorKind.Interface, DescriptorFlags.ReadWrite) { Value = 0x5002, Name = "a-name-of-16-byte"u8.ToArray() },
            new(DescriptorKind.Interface, DescriptorFlags.ReadWrite) { Value = 0x0802, Name = "vnet0"u8.ToArray() },
            new(DescriptorKind.Interface, DescriptorFlags.ReadWrite) { Value = 3, Name = "vnet0"u8.ToArray() },
            new(DescriptorKind.File, DescriptorFlags.None) { Name = "a\0b"u8.ToArray() },
            new(DescriptorKind.File, DescriptorFlags.None) { Node = 4, Name = "a"u8.ToArray() },
            new(DescriptorKind.File, DescriptorFlags.WriteOnly | DescriptorFlags.ReadWrite),
            new(DescriptorKind.Device, DescriptorFlags.None) { Value = 1 },
            new(DescriptorKind.Socket, DescriptorFlags.None) { Name = new byte[15] },
            new((DescriptorKind)200, DescriptorFlags.None),
            new(DescriptorKind.File, (DescriptorFlags)0x8000),
        ];
        foreach (PassedDescriptor one in bad)
        {
            Assert.IsFalse(DescriptorList.TryRead(DescriptorList.Write([one]), out _), one.ToString());
        }

        Assert.IsFalse(DescriptorList.TryRead(DescriptorList.Write([]), out _), "none");
        Assert.IsFalse(DescriptorList.TryRead(DescriptorList.Write([.. Enumerable.Repeat(PassedDescriptor.Refused, 254)]), out _), "more than the kernel passes");
    }
}
