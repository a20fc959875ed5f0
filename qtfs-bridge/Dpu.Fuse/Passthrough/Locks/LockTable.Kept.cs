using System.Buffers.Binary;
using Dpu.Linux;
using static Dpu.Linux.LibC;

namespace Dpu.Fuse;

// Locks that outlive the process: who keeps an owner's description keeps its locks, and a note says whose they are. The description
// goes out before the answer that grants a lock. Of a process that was killed between the two the peer asks again.
internal sealed unsafe partial class LockTable
{
    // Node, owner, handle, process, access, number of ranges; and each range's start, end, handle, kind.
    private const int HeadSize = 40;
    private const int RangeSize = 32;
    private const int MostNoted = (IKeptState.MostNote - HeadSize) / RangeSize;
    private const uint Unknown = uint.MaxValue;

    private readonly IKeptState? _kept;
    private ulong _lastKept;

    /// <summary>Takes over the locks of an earlier life, after the handles and before anything else.</summary>
    public void Restore()
    {
        foreach (KeptLock found in _kept?.TakeLocks() ?? [])
        {
            _lastKept = Math.Max(_lastKept, found.Number);
            if (Read(found) is { } owner && !_owners.ContainsKey((owner.Node, owner.Id)) && IsOpen(owner))
            {
                _budget.Owners.Take();
                _budget.Ranges.Take(owner.Ranges.Count);
                Add(owner);
            }
            else
            {
                // Of a file that nobody has open any more.
                _ = Change(found.Descriptor, LockRequest.Native(0, long.MaxValue, fcntl.F_UNLCK));
                _ = close(found.Descriptor);
                _kept!.DropLock(found.Number);
            }
        }
    }

    /// <summary>Gives all descriptions again to who keeps them: it has lost them.</summary>
    public void HoldAgain()
    {
        lock (_lock)
        {
            foreach (LockOwner owner in _owners.Values)
            {
                Hold(owner);
            }
        }
    }

    internal static int Write(LockOwner owner, Span<byte> note)
    {
        int count = owner.Ranges.Count;
        BinaryPrimitives.WriteUInt64LittleEndian(note, owner.Node);
        BinaryPrimitives.WriteUInt64LittleEndian(note[8..], owner.Id);
        BinaryPrimitives.WriteUInt64LittleEndian(note[16..], owner.Handle);
        BinaryPrimitives.WriteUInt32LittleEndian(note[24..], owner.Process);
        BinaryPrimitives.WriteUInt32LittleEndian(note[28..], (owner.Readable ? 1u : 0) | (owner.Writable ? 2u : 0));
        BinaryPrimitives.WriteUInt64LittleEndian(note[32..], count <= MostNoted ? (uint)count : Unknown);
        if (count > MostNoted)
        {
            return HeadSize;
        }

        int size = HeadSize;
        foreach (LockRange range in owner.Ranges.All)
        {
            Span<byte> place = note[size..];
            BinaryPrimitives.WriteUInt64LittleEndian(place, range.Start);
            BinaryPrimitives.WriteUInt64LittleEndian(place[8..], range.End);
            BinaryPrimitives.WriteUInt64LittleEndian(place[16..], range.Handle);
            BinaryPrimitives.WriteUInt64LittleEndian(place[24..], range.Exclusive ? 1u : 0);
            size += RangeSize;
        }

        return size;
    }

    /// <summary>The owner that a note tells of; null where it is none. Where it does not tell the ranges, all is said to be locked.</summary>
    internal static LockOwner? Read(KeptLock found)
    {
        ReadOnlySpan<byte> note = found.Note.Span;
        ulong count = note.Length >= HeadSize ? BinaryPrimitives.ReadUInt64LittleEndian(note[32..]) : MostNoted + 1;
        if (count > MostNoted && count != Unknown || (count != Unknown && note.Length != HeadSize + ((int)count * RangeSize)))
        {
            return null;
        }

        uint access = BinaryPrimitives.ReadUInt32LittleEndian(note[28..]);
        var owner = new LockOwner(BinaryPrimitives.ReadUInt64LittleEndian(note), BinaryPrimitives.ReadUInt64LittleEndian(note[8..]))
        {
            Descriptor = found.Descriptor,
            Handle = BinaryPrimitives.ReadUInt64LittleEndian(note[16..]),
            Process = BinaryPrimitives.ReadUInt32LittleEndian(note[24..]),
            Readable = (access & 1) != 0,
            Writable = (access & 2) != 0,
            Kept = found.Number,
        };
        if (count == Unknown)
        {
            owner.Ranges.Set(new LockRange(0, long.MaxValue, Exclusive: owner.Writable, owner.Handle));
            return owner;
        }

        for (ReadOnlySpan<byte> rest = note[HeadSize..]; rest.Length >= RangeSize; rest = rest[RangeSize..])
        {
            ulong start = BinaryPrimitives.ReadUInt64LittleEndian(rest);
            ulong end = BinaryPrimitives.ReadUInt64LittleEndian(rest[8..]);
            if (start > end || end > long.MaxValue)
            {
                return null;
            }

            owner.Ranges.Set(new LockRange(start, end, rest[24] != 0, BinaryPrimitives.ReadUInt64LittleEndian(rest[16..])));
        }

        return owner;
    }

    private bool IsOpen(LockOwner owner)
    {
        using HandlePin file = _handles.Pin(owner.Handle, owner.Node, isDirectory: false);
        return file.Valid;
    }

    private void Hold(LockOwner owner)
    {
        if (_kept is null)
        {
            return;
        }

        if (owner.Kept == 0)
        {
            owner.Kept = ++_lastKept;
        }

        Span<byte> note = stackalloc byte[IKeptState.MostNote];
        _kept.HoldLock(owner.Kept, owner.Descriptor, note[..Write(owner, note)]);
    }

    // Who keeps it closes its copy later than we ours, and the locks must be gone before.
    private void LetGo(LockOwner owner)
    {
        if (owner.Kept != 0)
        {
            _ = Change(owner.Descriptor, LockRequest.Native(0, long.MaxValue, fcntl.F_UNLCK));
            _kept!.DropLock(owner.Kept);
        }
    }
}
