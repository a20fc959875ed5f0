using Dpu.Linux;
using Dpu.Relay.Descriptors;
using Dpu.Relay.Terminals;
using Microsoft.Win32.SafeHandles;

namespace Dpu.Relay.Tests.Descriptors;

[TestClass]
public sealed class DescriptorClassifierTests
{
    [TestMethod]
    [TestCategory("unit")]
    public void Descriptors_AreWhatTheyAre()
    {
        Assert.IsTrue(Descriptor.TryMakePair(new(DescriptorKind.PipeToWrite, DescriptorFlags.NonBlock), out SafeFileHandle? writer, out SafeFileHandle? reader));
        Assert.AreEqual(DescriptorKind.PipeToWrite, Kind(writer!, out PassedDescriptor written));
        Assert.AreEqual(DescriptorFlags.WriteOnly | DescriptorFlags.NonBlock, written.Flags);
        Assert.AreEqual(DescriptorKind.PipeToRead, Kind(reader!, out _));
        Assert.IsTrue(Descriptor.TryMakePair(new(DescriptorKind.Socket, DescriptorFlags.Messages), out SafeFileHandle? one, out SafeFileHandle? other));
        Assert.AreEqual(DescriptorKind.Socket, Kind(one!, out PassedDescriptor socket));
        Assert.AreEqual(DescriptorFlags.Messages, socket.Flags);
        other!.Dispose();
        Assert.AreEqual(DescriptorKind.Device, Kind(Descriptor.TryOpen("/dev/null", fcntl.O_RDWR, out _)!, out PassedDescriptor device));
        Assert.AreEqual(3, device.Value);
        Assert.AreEqual(DescriptorKind.File, Kind(Descriptor.TryOpen("/", fcntl.O_RDONLY, out _)!, out PassedDescriptor directory));
        Assert.IsTrue(directory.Flags.HasFlag(DescriptorFlags.Directory));
        Assert.AreEqual(DescriptorKind.Counter, Kind(new SafeFileHandle(LibC.eventfd(5, eventfd_h.EFD_SEMAPHORE | eventfd_h.EFD_CLOEXEC), true), out PassedDescriptor counter));
        Assert.AreEqual(DescriptorFlags.Semaphore | DescriptorFlags.Messages, counter.Flags);
        SafeFileHandle master = PseudoTerminal.TryOpen(0, fcntl.O_WRONLY, null, out SafeFileHandle? slave, out _)!;
        Assert.AreEqual(DescriptorKind.Terminal, Kind(slave!, out PassedDescriptor terminal));
        Assert.AreEqual(DescriptorFlags.WriteOnly | DescriptorFlags.Messages, terminal.Flags);
        Assert.AreEqual(TerminalSettings.Size, terminal.Settings.Length);
        Assert.AreEqual(DescriptorKind.TerminalMaster, Kind(master, out _));
    }

    [TestMethod]
    [TestCategory("unit")]
    public void WhatHasNoTwin_IsRefused_WithAReason()
    {
        foreach ((int type, int family) in ((int, int)[])[(sys_socket.SOCK_DGRAM, sys_socket.AF_UNIX), (sys_socket.SOCK_STREAM, sys_socket.AF_UNIX), (sys_socket.SOCK_STREAM, sys_socket.AF_INET)])
        {
            using var socket = new SafeFileHandle(sys_socket.socket(family, type | sys_socket.SOCK_CLOEXEC, 0), true);
            Assert.AreEqual(DescriptorKind.Refused, DescriptorClassifier.Classify((int)socket.DangerousGetHandle(), out string reason).Kind);
            Assert.AreNotEqual("", reason);
        }

        using var epolls = new SafeFileHandle(LibC.epoll_create1(epoll.EPOLL_CLOEXEC), true);
        Assert.AreEqual(DescriptorKind.Refused, DescriptorClassifier.Classify((int)epolls.DangerousGetHandle(), out string other).Kind);
        Assert.Contains("eventpoll", other);
    }

    private static DescriptorKind Kind(SafeFileHandle handle, out PassedDescriptor what)
    {
        using (handle)
        {
            what = DescriptorClassifier.Classify((int)handle.DangerousGetHandle(), out string reason);
            Assert.AreEqual("", reason);
            return what.Kind;
        }
    }
}
