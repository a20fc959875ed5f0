using System.Runtime.CompilerServices;

namespace Dpu.Fuse;

/// <summary>
/// The state word of a table's slot: generation (32 bits), alive (1), shut (1), referenced (1), pins (29). A pin keeps the
/// slot, and an open slot's descriptor, while a thread uses it, whatever a hostile peer releases meanwhile; the last one
/// to leave a dead slot frees it.
/// </summary>
/// <remarks>
/// 1. The owner fills the slot, then publishes the word with alive set (release).
/// 2. A user raises pins only while alive and generation agree, in one compare-exchange; so it sees what 1 wrote, and
///    learns whether the slot was open. A pin of a shut slot keeps the slot, not the descriptor, which must be opened first.
/// 3. Killing clears alive; no pin is taken from then on.
/// 4. Exactly one thread sees "dead and no pins": the killer or the last user. It frees the slot and raises the generation.
/// 5. Shutting needs "alive, open and no pins" and takes a pin, in one compare-exchange: so no descriptor that is in use
///    is closed, and the slot cannot be freed meanwhile.
/// 6. Who opens a shut slot writes the descriptor, then clears shut (full fence); who pins from then on sees it.
///    Between 5 and 6 the descriptor belongs to the holder of the slot's move lock (<see cref="NodeTable"/>).
/// Only nodes are ever shut. Referenced is CLOCK's bit: set by each pin that is a use, taken away by the hand.
/// </remarks>
internal static class SlotState
{
    private const ulong Alive = 1UL << 31;
    private const ulong Shut = 1UL << 30;
    private const ulong Referenced = 1UL << 29;
    private const ulong PinMask = Referenced - 1;

    public static uint Generation(ulong state) => (uint)(state >> 32);

    public static bool IsAlive(ulong state) => (state & Alive) != 0;

    public static bool IsShut(ulong state) => (state & Shut) != 0;

    public static bool IsReferenced(ulong state) => (state & Referenced) != 0;

    public static bool IsPinned(ulong state) => (state & PinMask) != 0;

    public static void Publish(ref ulong state, uint generation) =>
        Volatile.Write(ref state, ((ulong)generation << 32) | Alive);

    /// <summary>Publishes a slot without a descriptor, with one pin of the caller, and not referenced: a new node must earn its second chance.</summary>
    public static void PublishShut(ref ulong state, uint generation) =>
        Volatile.Write(ref state, ((ulong)generation << 32) | Alive | Shut | 1);

    /// <summary>As <see cref="PublishShut"/>, without a pin: a slot of an earlier life.</summary>
    public static void RestoreShut(ref ulong state) => Volatile.Write(ref state, ((ulong)Generation(state) << 32) | Alive | Shut);

    public static bool TryPin(ref ulong state, uint generation) => TryPin(ref state, generation, out _);

    /// <summary>Takes a pin; <paramref name="open"/> says whether there is a descriptor, which then stays.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool TryPin(ref ulong state, uint generation, out bool open) => TryPin(ref state, generation, Referenced, out open);

    /// <summary>Takes a pin for a look at what is known of the slot, which is no use of it: who is idle stays so.</summary>
    public static bool TryHold(ref ulong state, uint generation) => TryPin(ref state, generation, 0, out _);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static bool TryPin(ref ulong state, uint generation, ulong mark, out bool open)
    {
        ulong seen = Volatile.Read(ref state);
        while (IsAlive(seen) && Generation(seen) == generation && (seen & PinMask) != PinMask)
        {
            ulong now = Interlocked.CompareExchange(ref state, (seen + 1) | mark, seen);
            if (now == seen)
            {
                open = !IsShut(seen);
                return true;
            }

            seen = now;
        }

        open = false;
        return false;
    }

    /// <summary>Gives a pin back; true where the caller must free the slot.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Unpin(ref ulong state) => (Interlocked.Decrement(ref state) & (Alive | PinMask)) == 0;

    /// <summary>Ends the slot's life; <paramref name="free"/> where the caller must free it. False where it was dead or another's.</summary>
    public static bool TryKill(ref ulong state, uint generation, out bool free)
    {
        ulong seen = Volatile.Read(ref state);
        while (IsAlive(seen) && Generation(seen) == generation)
        {
            ulong now = Interlocked.CompareExchange(ref state, seen & ~Alive, seen);
            if (now == seen)
            {
                free = (seen & PinMask) == 0;
                return true;
            }

            seen = now;
        }

        free = false;
        return false;
    }

    /// <summary>Shuts an open slot that nobody uses, and takes a pin of it; under the slot's move lock.</summary>
    public static bool TryShut(ref ulong state)
    {
        ulong seen = Volatile.Read(ref state);
        return IsAlive(seen) && !IsShut(seen) && !IsPinned(seen)
            && Interlocked.CompareExchange(ref state, (seen | Shut) + 1, seen) == seen;
    }

    /// <summary>Opens a shut slot whose descriptor is in place; under the slot's move lock, with a pin.</summary>
    public static void Open(ref ulong state) => Interlocked.And(ref state, ~Shut);

    /// <summary>Gives the slot a second chance, or takes it away.</summary>
    public static void Mark(ref ulong state, bool referenced) =>
        _ = referenced ? Interlocked.Or(ref state, Referenced) : Interlocked.And(ref state, ~Referenced);

    /// <summary>Makes the ids of the slot's last life stale.</summary>
    public static void Retire(ref ulong state) => Volatile.Write(ref state, (ulong)(Generation(Volatile.Read(ref state)) + 1) << 32);
}
