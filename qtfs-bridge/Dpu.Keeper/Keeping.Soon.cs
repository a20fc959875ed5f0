using System.Text;
using Dpu.Linux;
using Microsoft.Win32.SafeHandles;

namespace Dpu.Keeper;

/// <summary>
/// What is held, and let go, without waiting for the keeper's answer: once these return the request is in the keeper's own queue, in order, and is
/// carried out whatever becomes of this process. What the keeper refuses is told when it is next asked for memory.
/// </summary>
public sealed unsafe partial class Keeping
{
    /// <summary>As <see cref="Hold"/>.</summary>
    public void HoldSoon(string name, SafeFileHandle? descriptor, ReadOnlySpan<byte> note = default)
    {
        byte[] kept = note.ToArray();
        lock (_lock)
        {
            _items[name] = new Item(descriptor, kept);
            Tell(name, (client, bytes) =>
            {
                if (descriptor is null)
                {
                    client.PutQuietly(bytes, -1, kept);
                }
                else
                {
                    client.PutQuietly(bytes, descriptor, kept);
                }
            });
        }
    }

    /// <summary>As <see cref="Drop"/>.</summary>
    public void DropSoon(string name)
    {
        lock (_lock)
        {
            if (_items.Remove(name))
            {
                Tell(name, static (client, bytes) => client.DropQuietly(bytes));
            }
        }
    }

    /// <summary>As <see cref="DropAll"/>.</summary>
    public void DropAllSoon(string beginning)
    {
        lock (_lock)
        {
            foreach (string name in _items.Keys.Where(name => name.StartsWith(beginning, StringComparison.Ordinal)).ToArray())
            {
                _ = _items.Remove(name);
            }

            Tell(beginning, static (client, bytes) => client.DropAllQuietly(bytes));
        }
    }

    /// <summary>New memory, zeroed; what began with its name is let go.</summary>
    /// <exception cref="KeeperException">There is no memory.</exception>
    public KeptMemory NewMemory(string name, long size)
    {
        DropAllSoon(name);
        KeptMemory memory = Try(client =>
        {
            KeptMemory made = client.OpenMemory(_prefix + name, size, out _);
            int refused = client.TakeFailure();
            if (refused is not (0 or errno.ENOENT))
            {
                _changed(false, $"dpu-keeper refuses to hold what it was given: {KeeperConnection.NameOf(refused)}");
            }

            return made;
        }) ?? KeptMemory.Own(_prefix + name, size);
        lock (_lock)
        {
            _items[name] = new Item(memory.Descriptor, []);
        }

        return memory;
    }

    // Under the lock.
    private void Tell(string name, Action<KeeperClient, byte[]> what)
    {
        try
        {
            if (_client is { } client)
            {
                what(client, Encoding.UTF8.GetBytes(_prefix + name));
            }
        }
        catch (KeeperException)
        {
            // Expected where it has just gone.
            Lose();
        }
    }
}
