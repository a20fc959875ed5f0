using System.Runtime.InteropServices;
using Dpu.Fuse.Wire;

namespace Dpu.Qtfs;

/// <summary>A host's answer that grants a lock, where the DPU has asked for numbers (<c>numbered_grants</c> of link.proto).</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct GrantedLock
{
    public fuse_out_header header;

    /// <summary>The number of the last notification of what was done before; 0 where nobody takes notifications.</summary>
    public ulong after;
}
