using Dpu.Linux;

namespace Dpu.TestSupport;

/// <summary>Memory whose last byte is followed by a page that nobody may touch: one byte too far ends the test program.</summary>
public sealed unsafe class GuardedBuffer : IDisposable
{
    private const int Page = 65536; // A multiple of every supported page size.
    private readonly byte* _start;
    private readonly nuint _mapped;
    private readonly int _size;

    /// <param name="size">The most bytes that <see cref="Tail"/> is asked for.</param>
    /// <exception cref="IOException">There is no memory.</exception>
    public GuardedBuffer(int size)
    {
        _size = (size + Page - 1) / Page * Page;
        _mapped = (nuint)_size + Page;

        // SAFETY: a fresh mapping; the page behind the usable part is closed.
        _start = (byte*)LibC.mmap(null, _mapped, mman.PROT_READ | mman.PROT_WRITE, mman.MAP_PRIVATE | mman.MAP_ANONYMOUS, -1, 0);
        if ((nint)_start == -1 || LibC.mprotect(_start + _size, Page, mman.PROT_NONE) != 0)
        {
            throw new IOException("no memory with a guard page");
        }
    }

    /// <summary>The last <paramref name="size"/> bytes.</summary>
    public byte* Tail(int size)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(size, _size);
        return _start + _size - size;
    }

    /// <inheritdoc/>
    public void Dispose() => LibC.munmap(_start, _mapped);
}
