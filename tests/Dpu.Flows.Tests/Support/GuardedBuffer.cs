using Dpu.Linux;

namespace Dpu.Flows.Tests.Support;

/// <summary>Memory whose last byte is followed by a page that nobody may touch: one byte too far ends the test program.</summary>
internal sealed unsafe class GuardedBuffer : IDisposable
{
    private const int Page = 65536; // A multiple of every supported page size.
    private readonly byte* _start;
    private readonly nuint _mapped;
    private readonly int _size;

    internal GuardedBuffer(int size)
    {
        _size = (size + Page - 1) / Page * Page;
        _mapped = (nuint)_size + Page;

        // SAFETY: a fresh mapping; the page behind the usable part is closed.
        _start = (byte*)LibC.mmap(null, _mapped, mman.PROT_READ | mman.PROT_WRITE, mman.MAP_PRIVATE | mman.MAP_ANONYMOUS, -1, 0);
        Assert.AreNotEqual(-1, (nint)_start, "mmap failed");
        Assert.AreEqual(0, LibC.mprotect(_start + _size, Page, mman.PROT_NONE), "mprotect failed");
    }

    /// <summary>The last <paramref name="size"/> bytes.</summary>
    internal byte* Tail(int size)
    {
        Assert.IsLessThanOrEqualTo(_size, size);
        return _start + _size - size;
    }

    public void Dispose() => LibC.munmap(_start, _mapped);
}
