#pragma warning disable CA1707, CA1051, CA1815, CS1591, IDE1006, CS8981
namespace Dpu.Linux;

/// <summary>A piece of memory of readv(2) and writev(2).</summary>
[CStruct("struct iovec", "sys/uio.h")]
public unsafe struct iovec
{
    public void* iov_base;
    public nuint iov_len;
}
