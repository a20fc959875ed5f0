using System.Runtime.CompilerServices;

namespace Dpu.Fuse;

/// <summary>
/// The state word of a table's slot: generation (32 bits), alive (1), pins (31). A pin keeps the slot's descriptor open
/// while a thread uses it, whatever a hostile peer releases meanwhile; the last one to leave a dead slot frees it.
/// </summary>
/// <remarks>
/// 1. The owner fills the slot, then publishes the word with alive set (release).
/// 2. A user raises pins only while alive and generation agree, in one compare-exchange; so it sees what 1 wrote.
/// 3. Killing clears alive; no pin is taken from then on.
/// 4. Exactly one thread sees "dead and no pins": the killer or the last user. It frees the slot and raises the generation.
/// </remarks>
internal static class SlotState
{
    private const ulong Alive = 1UL << 31;
    private const ulong PinMask = Alive - 1;

    public static uint Generation(ulong state) => (uint)(state >> 32);

    public static bool IsAlive(ulong state) => (state & Alive) != 0;

    public static void Publish(ref ulong state, uint generation) =>
        Volatile.Write(ref state, ((ulong)generation << 32) | Alive);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool TryPin(ref ulong state, uint generation)
    {
        ulong seen = Volatile.Read(ref state);
        while (IsAlive(seen) && Generation(seen) == generation && (seen & PinMask) != PinMask)
        {
            ulong now = Interlocked.CompareExchange(ref state, seen + 1, seen);
            if (now == seen)
            {
                return true;
            }

            seen = now;
        }

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

    /// <summary>Makes the ids of the slot's last life stale.</summary>
    public static void Retire(ref ulong state) => Volatile.Write(ref state, (ulong)(Generation(Volatile.Read(ref state)) + 1) << 32);
}
