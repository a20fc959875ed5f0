using Dpu.Linux;

namespace Dpu.Keeper;

/// <summary>Shared memory that a keeper holds, mapped into this process. It outlives the process, with what is in it.</summary>
public sealed unsafe class KeptMemory : IDisposable
{
    private void* _address;

    internal KeptMemory(Kept kept)
    {
        Entry = kept.Entry;
        if (kept.Descriptor is null)
        {
            throw new KeeperException($"'{Entry.Name}' came without its memory");
        }

        // SAFETY: a mapping of its own, of the size that the memory has for ever (it is sealed).
        _address = LibC.mmap(null, (nuint)Entry.Size, mman.PROT_READ | mman.PROT_WRITE, mman.MAP_SHARED, (int)kept.Descriptor.DangerousGetHandle(), 0);
        if (_address == (void*)-1)
        {
            int error = (int)-LibC.Result((nint)(-1));
            _address = null;
            throw new KeeperException($"mapping {Entry.Size} bytes of '{Entry.Name}' failed: {KeeperConnection.NameOf(error)}", error);
        }
    }

    /// <summary>The keeper's entry.</summary>
    public KeptEntry Entry { get; }

    /// <summary>Its size in bytes.</summary>
    public long Size => Entry.Size;

    /// <summary>Where it lies; of <see cref="Size"/> bytes, until it is disposed.</summary>
    public byte* Address => _address != null ? (byte*)_address : throw new ObjectDisposedException(nameof(KeptMemory));

    /// <inheritdoc/>
    public void Dispose()
    {
        if (_address != null)
        {
            // SAFETY: mapped by the constructor; nulled so that a second call is harmless.
            _ = LibC.munmap(_address, (nuint)Size);
            _address = null;
        }
    }
}
