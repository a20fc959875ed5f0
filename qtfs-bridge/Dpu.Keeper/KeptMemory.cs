using Dpu.Linux;
using Microsoft.Win32.SafeHandles;

namespace Dpu.Keeper;

/// <summary>Shared memory that a keeper holds, mapped into this process. It outlives the process, with what is in it.</summary>
public sealed unsafe class KeptMemory : IDisposable
{
    private void* _address;

    internal KeptMemory(KeptEntry entry, SafeFileHandle? descriptor)
    {
        Entry = entry;
        Descriptor = descriptor ?? throw new KeeperException($"'{entry.Name}' came without its memory");

        // SAFETY: a mapping of its own, of the size that the memory has for ever (it is sealed, or this process's own).
        _address = LibC.mmap(null, (nuint)Entry.Size, mman.PROT_READ | mman.PROT_WRITE, mman.MAP_SHARED, (int)descriptor.DangerousGetHandle(), 0);
        if (_address == (void*)-1)
        {
            int error = (int)-LibC.Result((nint)(-1));
            _address = null;
            descriptor.Dispose();
            throw new KeeperException($"mapping {Entry.Size} bytes of '{Entry.Name}' failed: {KeeperConnection.NameOf(error)}", error);
        }
    }

    /// <summary>The keeper's entry.</summary>
    public KeptEntry Entry { get; }

    /// <summary>The memory's own descriptor, by which it can be given to another keeper.</summary>
    public SafeFileHandle Descriptor { get; }

    /// <summary>Its size in bytes.</summary>
    public long Size => Entry.Size;

    /// <summary>Where it lies; of <see cref="Size"/> bytes, until it is disposed.</summary>
    public byte* Address => _address != null ? (byte*)_address : throw new ObjectDisposedException(nameof(KeptMemory));

    /// <summary>Memory of this process's own, zeroed, while there is no keeper; it can be given to one later.</summary>
    /// <exception cref="KeeperException">There is no memory or descriptor left.</exception>
    public static KeptMemory Own(string name, long size, ReadOnlySpan<byte> note = default)
    {
        int made;
        fixed (byte* label = "dpu-kept\0"u8)
        {
            // SAFETY: a NUL-terminated constant.
            made = LibC.Result(LibC.memfd_create(label, mman.MFD_CLOEXEC));
        }

        if (made < 0)
        {
            throw new KeeperException($"making {size} bytes of memory failed: {KeeperConnection.NameOf(-made)}", -made);
        }

        var descriptor = new SafeFileHandle(made, ownsHandle: true);
        int sized = LibC.Result(LibC.ftruncate(made, size));
        if (sized < 0)
        {
            descriptor.Dispose();
            throw new KeeperException($"making {size} bytes of memory failed: {KeeperConnection.NameOf(-sized)}", -sized);
        }

        return new KeptMemory(new KeptEntry(name, KeptKind.Memory, size, note.ToArray()), descriptor);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (_address != null)
        {
            // SAFETY: mapped by the constructor; nulled so that a second call is harmless.
            _ = LibC.munmap(_address, (nuint)Size);
            _address = null;
            Descriptor.Dispose();
        }
    }
}
