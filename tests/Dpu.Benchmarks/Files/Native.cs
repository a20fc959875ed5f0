using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Dpu.Benchmarks.Files;

/// <summary>Turns a failed call into an exception that names it; costs nothing where it succeeds.</summary>
internal static class Native
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static nint Check(nint result, string call)
    {
        if (result < 0)
        {
            Throw(call);
        }

        return result;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void CheckSize(nint result, nint wanted, string call)
    {
        if (result != wanted)
        {
            ThrowSize(result, wanted, call);
        }
    }

    private static void Throw(string call) =>
        throw new IOException($"{call}: {Marshal.GetPInvokeErrorMessage(Marshal.GetLastSystemError())}");

    private static void ThrowSize(nint result, nint wanted, string call)
    {
        if (result < 0)
        {
            Throw(call);
        }

        throw new IOException($"{call} gave {result} bytes of {wanted}");
    }
}
