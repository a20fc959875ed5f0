#pragma warning disable CA1707, CA1051, CA1815, CS1591, IDE1006, CS8981, CA1716
using System.Runtime.InteropServices;

namespace Dpu.Linux;

/// <summary>
/// The C library's functions under their own names, in one part a header. They return what C returns, so -1 where
/// they fail; <see cref="Result(int)"/> turns that into a negated errno.
/// </summary>
/// <remarks>
/// Signatures are blittable and without SetLastError, which would cost 10–20 ns a call: errno is read after a failure
/// only, by the very next call on the same thread. Names are NUL-terminated bytes. Variadic functions are declared
/// with fixed arguments, which the calling conventions of Linux on x86-64 and arm64 make the same for integers.
/// </remarks>
public static unsafe partial class LibC
{
    private const string Library = "libc";

    /// <summary>The value, or the negated errno where it is negative. Call it on the result at once.</summary>
    public static int Result(int value) => value >= 0 ? value : -Marshal.GetLastSystemError();

    /// <inheritdoc cref="Result(int)"/>
    public static long Result(nint value) => value >= 0 ? value : -Marshal.GetLastSystemError();
}

/// <summary>Which of the two supported architectures this process runs on; other ones have no constants here.</summary>
public static class MachineArchitecture
{
    /// <summary>True on arm64, false on x86-64. A constant to the JIT, so that a branch on it costs nothing.</summary>
    public static bool IsArm64 => RuntimeInformation.ProcessArchitecture == Architecture.Arm64;
}
