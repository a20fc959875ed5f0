#pragma warning disable CA1707, CA1051, CA1815, CS1591, IDE1006, CS8981, CA1716
namespace Dpu.Linux;

/// <summary>An instruction of a classic BPF program.</summary>
/// <param name="code">What it does.</param>
/// <param name="jt">Instructions to pass over where a comparison holds.</param>
/// <param name="jf">And where it does not.</param>
/// <param name="k">Its operand.</param>
[CStruct("struct sock_filter", "linux/filter.h")]
public struct sock_filter(ushort code, byte jt, byte jf, uint k)
{
    public ushort code = code;
    public byte jt = jt;
    public byte jf = jf;
    public uint k = k;
}

/// <summary>Parts of <see cref="sock_filter.code"/>.</summary>
[CConstants("linux/filter.h")]
public static class bpf
{
    public const ushort BPF_LD = 0x00;
    public const ushort BPF_JMP = 0x05;
    public const ushort BPF_RET = 0x06;
    public const ushort BPF_W = 0x00;
    public const ushort BPF_ABS = 0x20;
    public const ushort BPF_JA = 0x00;
    public const ushort BPF_JEQ = 0x10;
    public const ushort BPF_JGE = 0x30;
    public const ushort BPF_K = 0x00;
}

/// <summary>Which architecture's numbers a call has.</summary>
[CConstants("linux/audit.h")]
public static class audit
{
    public const uint AUDIT_ARCH_X86_64 = 0xc000003e;
    public const uint AUDIT_ARCH_AARCH64 = 0xc00000b7;
}
