using System.Buffers.Binary;

namespace Dpu.Relay.Processes;

/// <summary>What is asked of a process's kernel; the numbers are the wire's. Named as section 2 of the manual names them.</summary>
public enum ProcessCallKind
{
    /// <summary>None.</summary>
    None = 0,

    /// <summary>The mask in the content.</summary>
    SchedSetAffinity = 1,

    /// <summary>First: the room in bytes. Answered with the mask.</summary>
    SchedGetAffinity = 2,

    /// <summary>First: the policy. Second: the priority.</summary>
    SchedSetScheduler = 3,

    /// <summary>Answered with the policy.</summary>
    SchedGetScheduler = 4,

    /// <summary>First: the priority.</summary>
    SchedSetParam = 5,

    /// <summary>Answered with the priority in the content, 4 bytes.</summary>
    SchedGetParam = 6,

    /// <summary>A struct sched_attr in the content. First: flags.</summary>
    SchedSetAttr = 7,

    /// <summary>First: the room in bytes. Second: flags. Answered with a struct sched_attr.</summary>
    SchedGetAttr = 8,

    /// <summary>First: the resource. In the content, or not: the new soft and hard limit. Answered with the old ones.</summary>
    Prlimit = 9,

    /// <summary>First: the nice value.</summary>
    SetPriority = 10,

    /// <summary>Answered as the kernel does: 20 less the nice value.</summary>
    GetPriority = 11,
}

/// <summary>A call of a program on the DPU that means a process of the host, by its stub's number. Immutable.</summary>
/// <param name="Id">Of the connection, chosen by the DPU.</param>
/// <param name="Kind">What.</param>
/// <param name="First">As the kind says.</param>
/// <param name="Second">As the kind says.</param>
/// <param name="Content">As the kind says.</param>
public sealed record ProcessCall(ulong Id, ProcessCallKind Kind, long First, long Second, byte[] Content)
{
    /// <summary>The longest content: a mask of 32,768 processors.</summary>
    public const int MaxContent = 4096;

    /// <summary>Bytes before the content.</summary>
    public const int HeaderSize = 32;

    /// <summary>As a frame has it, little-endian: 8 id, 4 kind, 4 zero, 8 first, 8 second, the content.</summary>
    public byte[] ToBytes()
    {
        byte[] bytes = new byte[HeaderSize + Content.Length];
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, Id);
        BinaryPrimitives.WriteInt32LittleEndian(bytes.AsSpan(8), (int)Kind);
        BinaryPrimitives.WriteInt64LittleEndian(bytes.AsSpan(16), First);
        BinaryPrimitives.WriteInt64LittleEndian(bytes.AsSpan(24), Second);
        Content.CopyTo(bytes, HeaderSize);
        return bytes;
    }

    /// <summary>Reads one; null where it is none. A kind that is not known is taken, for its answer is ENOSYS.</summary>
    public static ProcessCall? Read(ReadOnlySpan<byte> bytes) => bytes.Length is < HeaderSize or > HeaderSize + MaxContent ? null : new(
        BinaryPrimitives.ReadUInt64LittleEndian(bytes),
        (ProcessCallKind)BinaryPrimitives.ReadInt32LittleEndian(bytes[8..]),
        BinaryPrimitives.ReadInt64LittleEndian(bytes[16..]),
        BinaryPrimitives.ReadInt64LittleEndian(bytes[24..]),
        bytes[HeaderSize..].ToArray());
}

/// <summary>How a <see cref="ProcessCall"/> went. Immutable.</summary>
/// <param name="Id">Of the call.</param>
/// <param name="Result">What the kernel returned, or a negated errno.</param>
/// <param name="Content">What it has written.</param>
public sealed record ProcessCallAnswer(ulong Id, long Result, byte[] Content)
{
    /// <summary>Bytes before the content.</summary>
    public const int HeaderSize = 16;

    // MAX_ERRNO of linux/err.h.
    private const int MaxErrno = 4095;

    /// <summary>As a frame has it, little-endian: 8 id, 8 result, the content.</summary>
    public byte[] ToBytes()
    {
        byte[] bytes = new byte[HeaderSize + Content.Length];
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, Id);
        BinaryPrimitives.WriteInt64LittleEndian(bytes.AsSpan(8), Result);
        Content.CopyTo(bytes, HeaderSize);
        return bytes;
    }

    /// <summary>Reads one; null where it is none.</summary>
    public static ProcessCallAnswer? Read(ReadOnlySpan<byte> bytes)
    {
        if (bytes.Length is < HeaderSize or > HeaderSize + ProcessCall.MaxContent)
        {
            return null;
        }

        long result = BinaryPrimitives.ReadInt64LittleEndian(bytes[8..]);
        return result is < -MaxErrno or > int.MaxValue ? null : new(BinaryPrimitives.ReadUInt64LittleEndian(bytes), result, bytes[HeaderSize..].ToArray());
    }
}
