using Dpu.Hosting.Configuration;
using Dpu.Linux;
using Dpu.Runtime.Views.Calls;

namespace Dpu.EndToEnd.Tests;

/// <summary>The filter of a view's daemons as the kernel would run it, for both architectures.</summary>
[TestClass]
public sealed class SeccompFilterTests
{
    private const ViewCalls All = ViewCalls.Scheduling | ViewCalls.Limits | ViewCalls.Priority | ViewCalls.Name | ViewCalls.Mounts;

    [TestMethod]
    [TestCategory("unit")]
    [DataRow(false, audit.AUDIT_ARCH_X86_64, 203, 302, 141, 63)]
    [DataRow(true, audit.AUDIT_ARCH_AARCH64, 122, 261, 140, 160)]
    public void Call_ThatNamesAnotherProcess_IsHeld_AndAnyOtherPasses(bool arm64, uint architecture, int setAffinity, int prlimit, int setPriority, int uname)
    {
        sock_filter[] program = SeccompFilter.Build(All, arm64);
        uint Run(int number, ulong first = 0, ulong second = 0) => Execute(program, architecture, number, first, second);
        foreach (int number in (int[])[setAffinity, prlimit])
        {
            Assert.AreEqual(seccomp.SECCOMP_RET_USER_NOTIF, Run(number, 4711));
            Assert.AreEqual(seccomp.SECCOMP_RET_ALLOW, Run(number), "0 is the caller itself");

            // pid_t has 32 bits, whatever is above them.
            Assert.AreEqual(seccomp.SECCOMP_RET_ALLOW, Run(number, 1ul << 40));
            Assert.AreEqual(seccomp.SECCOMP_RET_USER_NOTIF, Run(number, ulong.MaxValue));
        }

        Assert.AreEqual(seccomp.SECCOMP_RET_USER_NOTIF, Run(setPriority, 0, 4711));
        Assert.AreEqual(seccomp.SECCOMP_RET_ALLOW, Run(setPriority, 0, 0), "the caller itself");
        Assert.AreEqual(seccomp.SECCOMP_RET_ALLOW, Run(setPriority, 1, 4711), "a group's");
        Assert.AreEqual(seccomp.SECCOMP_RET_USER_NOTIF, Run(uname));
        foreach (int number in arm64 ? (int[])[40, 39, 428, 429, 430, 433, 442] : [165, 166, 428, 429, 430, 433, 442])
        {
            Assert.AreEqual(seccomp.SECCOMP_RET_USER_NOTIF, Run(number), "whatever it is mounted on is for the runtime to find out");
        }

        Assert.AreEqual(seccomp.SECCOMP_RET_ALLOW, Execute(program, architecture ^ 1, setAffinity, 4711, 0), "another architecture's numbers");
        Assert.IsLessThanOrEqualTo(Keeper.view.VIEW_FILTER_MAX, program.Length);

        int[] held = [.. Enumerable.Range(0, 512).Where(number => Run(number, 1, 1) == seccomp.SECCOMP_RET_USER_NOTIF || Run(number, 0, 1) == seccomp.SECCOMP_RET_USER_NOTIF)];
        Assert.HasCount(SeccompFilter.Names.Count, held, "each known call, and no other");
    }

    [TestMethod]
    [TestCategory("unit")]
    public void NumbersOfX32_OnX64_AreRefused()
    {
        sock_filter[] program = SeccompFilter.Build(All, arm64: false);
        Assert.AreEqual(seccomp.SECCOMP_RET_ERRNO | errno.ENOSYS, Execute(program, audit.AUDIT_ARCH_X86_64, 0x40000000 | 203, 4711, 0));
        Assert.AreEqual(seccomp.SECCOMP_RET_ERRNO | errno.ENOSYS, Execute(program, audit.AUDIT_ARCH_X86_64, -1, 4711, 0));
    }

    [TestMethod]
    [TestCategory("unit")]
    public void Group_ThatIsNotAskedFor_IsNotHeld()
    {
        Assert.IsEmpty(SeccompFilter.Build(ViewCalls.None, arm64: false));
        sock_filter[] program = SeccompFilter.Build(ViewCalls.Limits, arm64: false);
        Assert.AreEqual(seccomp.SECCOMP_RET_ALLOW, Execute(program, audit.AUDIT_ARCH_X86_64, 203, 4711, 0));
        Assert.AreEqual(seccomp.SECCOMP_RET_USER_NOTIF, Execute(program, audit.AUDIT_ARCH_X86_64, 302, 4711, 0));
    }

    // Classic BPF, as far as the filter uses it; a program that runs out of itself is what the kernel refuses.
    private static unsafe uint Execute(sock_filter[] program, uint architecture, int number, ulong first, ulong second)
    {
        var data = new seccomp_data { nr = number, arch = architecture };
        data.args[0] = first;
        data.args[1] = second;
        var words = new ReadOnlySpan<uint>(&data, sizeof(seccomp_data) / sizeof(uint));
        uint accumulator = 0;
        for (int at = 0; ; at++)
        {
            sock_filter instruction = program[at];
            switch (instruction.code)
            {
                case bpf.BPF_LD | bpf.BPF_W | bpf.BPF_ABS:
                    accumulator = words[(int)instruction.k / sizeof(uint)];
                    break;
                case bpf.BPF_JMP | bpf.BPF_JEQ | bpf.BPF_K:
                    at += accumulator == instruction.k ? instruction.jt : instruction.jf;
                    break;
                case bpf.BPF_JMP | bpf.BPF_JGE | bpf.BPF_K:
                    at += accumulator >= instruction.k ? instruction.jt : instruction.jf;
                    break;
                case bpf.BPF_RET | bpf.BPF_K:
                    return instruction.k;
                default:
                    throw new InvalidOperationException($"instruction {at} is {instruction.code}");
            }
        }
    }
}
