using Dpu.Linux;

namespace Dpu.Relay.Flow;

/// <summary>The calls on a relay's local end where that is no socket. The descriptor has O_NONBLOCK, so that none waits.</summary>
internal static unsafe class LocalFile
{
    /// <summary>Reads; the bytes, 0 at the end, or a negated errno.</summary>
    public static int Read(int descriptor, byte* room, int size, LocalEnd end) =>
        // SAFETY: the caller's room, with its size. What is only written has nothing to read, ever.
        end == LocalEnd.FileToRead ? (int)LibC.Result(LibC.read(descriptor, room, (nuint)size)) : -errno.EAGAIN;

    /// <summary>Writes; how many bytes, or a negated errno: EPIPE where nobody reads any more.</summary>
    public static int Write(int descriptor, byte* bytes, int size, LocalEnd end) =>
        // SAFETY: the caller's bytes.
        end == LocalEnd.FileToWrite ? (int)LibC.Result(LibC.write(descriptor, bytes, (nuint)size)) : -errno.EPIPE;
}
