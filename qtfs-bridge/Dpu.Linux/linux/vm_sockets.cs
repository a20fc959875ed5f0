#pragma warning disable CA1707, CA1051, CA1815, CS1591, IDE1006, CS8981
namespace Dpu.Linux;

/// <summary>Constants of vsock(7), the sockets between a machine and its host or card.</summary>
[CConstants("sys/socket.h linux/vm_sockets.h")]
public static class linux_vm_sockets
{
    public const uint VMADDR_CID_ANY = 0xFFFFFFFF;
    public const uint VMADDR_PORT_ANY = 0xFFFFFFFF;
    public const uint VMADDR_CID_HYPERVISOR = 0;
    public const uint VMADDR_CID_LOCAL = 1;
    public const uint VMADDR_CID_HOST = 2;
}

/// <summary>The address of a vsock socket.</summary>
[CStruct("struct sockaddr_vm", "sys/socket.h linux/vm_sockets.h")]
public unsafe struct sockaddr_vm
{
    public ushort svm_family;
    public ushort svm_reserved1;
    public uint svm_port;
    public uint svm_cid;
    public byte svm_flags;
    public fixed byte svm_zero[3];
}
