using System.Runtime.InteropServices;
using System.Text;

namespace Dpu.Benchmarks.Files;

/// <summary>A path as the kernel takes it, made before the clock runs. Freed on <see cref="Dispose"/>.</summary>
internal sealed unsafe class NativePath : IDisposable
{
    private byte* bytes;

    public NativePath(string path)
    {
        int size = Encoding.UTF8.GetByteCount(path) + 1;
        // SAFETY: the block is size bytes; GetBytes writes size - 1 of them and the NUL is the last.
        bytes = (byte*)NativeMemory.Alloc((nuint)size);
        Encoding.UTF8.GetBytes(path, new Span<byte>(bytes, size - 1));
        bytes[size - 1] = 0;
    }

    public byte* Bytes => bytes;

    public void Dispose()
    {
        // SAFETY: allocated by the constructor, freed once.
        NativeMemory.Free(bytes);
        bytes = null;
    }
}
