using System.Diagnostics.CodeAnalysis;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Dpu.Keeper;

/// <summary>A keeper's answer.</summary>
/// <param name="Head">Its head.</param>
/// <param name="Name">The name that follows it, in UTF-8.</param>
/// <param name="Note">What follows that.</param>
/// <param name="Descriptor">The descriptor that came with it; the caller's.</param>
internal sealed unsafe record KeeperAnswer(keeper_message Head, ReadOnlyMemory<byte> Name, ReadOnlyMemory<byte> Note, SafeFileHandle? Descriptor)
{
    /// <summary>Takes a message apart. A newer keeper's head may be longer.</summary>
    public static bool TryRead(ReadOnlySpan<byte> message, SafeFileHandle? descriptor, [NotNullWhen(true)] out KeeperAnswer? answer)
    {
        answer = null;
        if (message.Length < sizeof(keeper_message))
        {
            return false;
        }

        keeper_message head = MemoryMarshal.Read<keeper_message>(message);
        long whole = (long)head.header + head.name + head.note;
        if (head.header < sizeof(keeper_message) || whole != message.Length)
        {
            return false;
        }

        answer = new KeeperAnswer(head, message.Slice(head.header, (int)head.name).ToArray(), message[(int)(head.header + head.name)..].ToArray(), descriptor);
        return true;
    }
}
