using System.Runtime.InteropServices;

namespace Dpu.Fuse;

/// <summary>A FUSE mount could not be made, cloned, unmounted or aborted.</summary>
public sealed class FuseMountException : IOException
{
    /// <summary>Says what was tried, on what, why it failed, and what to do.</summary>
    /// <param name="what">What was tried, on what.</param>
    /// <param name="error">The errno, or 0 where the kernel was not asked.</param>
    /// <param name="advice">What to do, or null.</param>
    internal FuseMountException(string what, int error, string? advice = null)
        : base(what + (error == 0 ? "" : $": {Marshal.GetPInvokeErrorMessage(error)} (errno {error})") + (advice is null ? "." : $"; {advice}.")) => Error = error;

    /// <summary>The errno, or 0 where the kernel was not asked.</summary>
    public int Error { get; }
}
