using System.Runtime.InteropServices;
using System.Text;
using Dpu.Linux;
using Microsoft.Win32.SafeHandles;

namespace Dpu.Keeper;

/// <summary>
/// What a daemon has its keeper hold. Works without one as well: then nothing is held, and <see cref="IsProtected"/> says so. A
/// keeper that comes, or comes back, is given everything again. No call throws for the keeper's sake but
/// <see cref="Memory"/>, where there is no memory at all. Thread-safe.
/// </summary>
public sealed unsafe partial class Keeping : IDisposable
{
    private readonly string _prefix;
    private readonly Lock _lock = new();
    private readonly Dictionary<string, Item> _items = new(StringComparer.Ordinal);
    private readonly KeeperWatch? _watch;
    private readonly string? _path;
    private readonly Action<bool, string> _changed;
    private KeeperClient? _client;
    private bool _disposed;

    /// <summary>Looks for the keeper once, so that what it holds is there when this returns, and then goes on watching for it.</summary>
    /// <param name="path">The keeper's socket; null for none.</param>
    /// <param name="prefix">What all names of this daemon begin with, for example <c>runtime/</c>.</param>
    /// <param name="changed">Told when the keeper comes (true) or goes, and why; at first also where it is not there.</param>
    public Keeping(string? path, string prefix, Action<bool, string>? changed = null)
    {
        _prefix = prefix;
        _path = path;
        _changed = changed ?? ((_, _) => { });
        if (path is null)
        {
            return;
        }

        try
        {
            _client = new KeeperClient(path);
            Instance = _client.Greeting.Instance;
        }
        catch (KeeperException)
        {
            // Expected while none runs: the watch tells of it.
        }

        _watch = new KeeperWatch(path, There, Gone, Changed);
    }

    /// <summary>What all names of this daemon begin with.</summary>
    public string Prefix => _prefix;

    /// <summary>The keeper's process; 0 where there is none, -1 where it is in another pid namespace and cannot be seen.</summary>
    public int KeeperProcess
    {
        get
        {
            lock (_lock)
            {
                return _client is null ? 0 : _client.Process > 0 ? _client.Process : -1;
            }
        }
    }

    /// <summary>Whether a thread is one of the keeper's, which closes what was let go.</summary>
    public bool IsKeepers(int thread)
    {
        int process = KeeperProcess;
        return process > 0 && thread > 0 && Directory.Exists($"/proc/{process}/task/{thread}");
    }

    /// <summary>The errno with which the last quiet request failed that did (ENOSPC: the keeper is full), once; 0 where none did. Asks the keeper.</summary>
    public int TakeFailure()
    {
        // Refusals come before the answer to what is asked later.
        _ = Status();
        lock (_lock)
        {
            return _client?.TakeFailure() ?? 0;
        }
    }

    /// <summary>Whether processes can begin in a cgroup: see <see cref="Run"/>.</summary>
    public bool Bears
    {
        get
        {
            lock (_lock)
            {
                return _client is { Greeting.Bears: true };
            }
        }
    }

    /// <summary>Whether a keeper holds what it was given.</summary>
    public bool IsProtected
    {
        get
        {
            lock (_lock)
            {
                return _client is not null;
            }
        }
    }

    /// <summary>The keeper's socket; null where none is to be used.</summary>
    public string? Socket => _path;

    /// <summary>Which life of the keeper holds it; another one after its death.</summary>
    public Guid Instance { get; private set; }

    /// <summary>
    /// A keeper came that has nothing of this daemon's: what was given quietly must be given again. On the watch's thread, after everything else
    /// was given.
    /// </summary>
    public event Action? Returned;

    /// <summary>
    /// A process that this daemon has had run (in this life or an earlier one) has stopped, goes on, or has ended: its name without the prefix,
    /// and how it is. On the watch's thread. What happened while nobody listened is in <see cref="List"/>; look there after <see cref="Returned"/> too.
    /// </summary>
    public event Action<string, KeptProcess>? ProcessChanged;

    /// <summary>Entries of an earlier life of this daemon, or of this one, whose names (without the prefix) begin so.</summary>
    public IReadOnlyList<KeptEntry> List(string beginning = "") =>
        Try(client => client.List(_prefix + beginning)) is { } entries ? [.. entries.Select(entry => entry with { Name = entry.Name[_prefix.Length..] })] : [];

    /// <summary>An entry, with a descriptor of the caller's own; null where there is none, or no keeper.</summary>
    public Kept? Get(string name) => Try(client => client.Get(_prefix + name));

    /// <summary>Memory of that name, which a keeper has from an earlier life of the daemon, or new.</summary>
    /// <param name="name">Its name.</param>
    /// <param name="size">Its size in bytes; what was of another size is let go.</param>
    /// <param name="found">Whether it is an earlier life's, with what that has left in it; else it is zeroed.</param>
    /// <exception cref="KeeperException">There is no memory.</exception>
    public KeptMemory Memory(string name, long size, out bool found)
    {
        found = false;
        KeptMemory? memory = Find(name, size);
        found = memory is not null;
        memory ??= Try(client =>
        {
            _ = client.Drop(_prefix + name);
            return client.OpenMemory(_prefix + name, size, out _);
        });
        memory ??= KeptMemory.Own(_prefix + name, size);
        lock (_lock)
        {
            _items[name] = new Item(memory.Descriptor, []);
        }

        return memory;
    }

    /// <summary>Has the keeper run its launcher; see <see cref="KeeperClient.Run"/>. No other keeper is given it: a keeper's death leaves it without.</summary>
    /// <returns>Its number in the keeper's pid namespace, and the caller's own pidfd.</returns>
    /// <exception cref="KeeperException">It does not run: there is no keeper, or it refuses.</exception>
    public (int Process, SafeFileHandle Pidfd) Run(string name, ReadOnlySpan<byte> note, int number, SafeHandle socket, SafeFileHandle? cgroup = null)
    {
        KeeperClient? client;
        lock (_lock)
        {
            client = _client;
        }

        if (client is null)
        {
            throw new KeeperException(_path is null
                ? "no process can run without a dpu-keeper: the configuration wants none"
                : $"no process can run: no keeper answers at '{_path}': is dpu-keeper.service running?");
        }

        Kept kept;
        try
        {
            kept = client.Run(_prefix + name, note, number, socket, cgroup);
        }
        catch (KeeperException) when (client.IsBroken)
        {
            // Expected where the keeper has just gone: the watch says so.
            lock (_lock)
            {
                if (_client == client)
                {
                    Lose();
                }
            }

            throw;
        }

        return (kept.Entry.Process!.Number, kept.Descriptor ?? throw new KeeperException($"the keeper gave no descriptor of '{_prefix}{name}': this process has too many open files", errno.EMFILE));
    }

    /// <summary>Has a descriptor held; the caller keeps its own, open until <see cref="Drop"/>.</summary>
    public void Hold(string name, SafeFileHandle? descriptor, ReadOnlySpan<byte> note = default)
    {
        byte[] kept = note.ToArray();
        lock (_lock)
        {
            _items[name] = new Item(descriptor, kept);
        }

        _ = Try(client =>
        {
            client.Put(_prefix + name, descriptor, kept);
            return "";
        });
    }

    /// <summary>As <see cref="Hold"/>, without waiting and without remembering it: see <see cref="Returned"/>.</summary>
    /// <param name="name">In UTF-8, with the prefix.</param>
    /// <param name="descriptor">What; the caller's.</param>
    /// <param name="note">Its note.</param>
    public void HoldQuietly(ReadOnlySpan<byte> name, SafeFileHandle descriptor, ReadOnlySpan<byte> note = default)
    {
        lock (_lock)
        {
            try
            {
                _client?.PutQuietly(name, descriptor, note);
            }
            catch (KeeperException)
            {
                // Expected where it has just gone.
                Lose();
            }
        }
    }

    /// <summary>As above, of a descriptor that stays open during the call.</summary>
    public void HoldQuietly(ReadOnlySpan<byte> name, int descriptor, ReadOnlySpan<byte> note)
    {
        lock (_lock)
        {
            try
            {
                _client?.PutQuietly(name, descriptor, note);
            }
            catch (KeeperException)
            {
                // Expected where it has just gone.
                Lose();
            }
        }
    }

    /// <summary>Lets go of what was held quietly, without waiting.</summary>
    public void DropQuietly(ReadOnlySpan<byte> name)
    {
        lock (_lock)
        {
            try
            {
                _client?.DropQuietly(name);
            }
            catch (KeeperException)
            {
                // Expected where it has just gone.
                Lose();
            }
        }
    }

    /// <summary>Lets go of an entry.</summary>
    public void Drop(string name)
    {
        lock (_lock)
        {
            _ = _items.Remove(name);
        }

        _ = Try(client => client.Drop(_prefix + name) ? "" : null);
    }

    /// <summary>Lets go of memory, here and at the keeper.</summary>
    public void Free(KeptMemory memory)
    {
        Drop(memory.Entry.Name[_prefix.Length..]);
        memory.Dispose();
    }

    /// <summary>Lets go of all entries whose names begin so.</summary>
    public void DropAll(string beginning)
    {
        lock (_lock)
        {
            foreach (string name in _items.Keys.Where(name => name.StartsWith(beginning, StringComparison.Ordinal)).ToArray())
            {
                _ = _items.Remove(name);
            }
        }

        _ = Try(client => client.DropAll(_prefix + beginning).ToString(System.Globalization.CultureInfo.InvariantCulture));
    }

    /// <summary>What the keeper says of itself; null where there is none.</summary>
    public KeeperStatus? Status() => Try(client => client.Status());

    /// <summary>Leaves; the keeper goes on holding everything.</summary>
    public void Dispose()
    {
        _watch?.Dispose();
        lock (_lock)
        {
            _disposed = true;
            Lose();
        }
    }

    private KeptMemory? Find(string name, long size)
    {
        if (Get(name) is not { Descriptor: { } descriptor } kept)
        {
            return null;
        }

        // Given by a daemon to a keeper that came later, it is a descriptor to that one.
        long has = kept.Entry.Kind == KeptKind.Memory ? kept.Entry.Size : LibC.lseek((int)descriptor.DangerousGetHandle(), 0, unistd.SEEK_END);
        if (has != size)
        {
            kept.Dispose();
            return null;
        }

        return new KeptMemory(kept.Entry with { Kind = KeptKind.Memory, Size = size }, descriptor);
    }

    private T? Try<T>(Func<KeeperClient, T?> call)
        where T : class
    {
        KeeperClient? client;
        lock (_lock)
        {
            client = _client;
        }

        try
        {
            return client is null ? null : call(client);
        }
        catch (KeeperException e) when (e.Error is errno.ENOSPC or errno.ENAMETOOLONG or errno.EEXIST or errno.EMFILE or errno.EINVAL or errno.ENOMEM)
        {
            _changed(false, e.Message);
            return null;
        }
        catch (KeeperException)
        {
            // Expected where it has just gone: the watch says so.
            lock (_lock)
            {
                if (_client == client)
                {
                    Lose();
                }
            }

            return null;
        }
    }

    // Under the lock.
    private void Lose()
    {
        _client?.Dispose();
        _client = null;
    }

    private void Changed(string name, KeptProcess process)
    {
        if (name.StartsWith(_prefix, StringComparison.Ordinal))
        {
            ProcessChanged?.Invoke(name[_prefix.Length..], process);
        }
    }

    private void Gone(string why)
    {
        lock (_lock)
        {
            Lose();
        }

        _changed(false, why);
    }

    private void There(KeeperStatus status)
    {
        bool another;
        lock (_lock)
        {
            if (_disposed)
            {
                return;
            }

            another = status.Instance != Instance;
            if (_client is null || another)
            {
                Lose();
                try
                {
                    _client = new KeeperClient(_path!);
                    Instance = _client.Greeting.Instance;
                    foreach ((string name, Item item) in _items)
                    {
                        _client.Put(_prefix + name, item.Descriptor, item.Note);
                    }
                }
                catch (Exception e) when (e is KeeperException or ObjectDisposedException)
                {
                    // Gone again, which the watch tells, or full.
                    Lose();
                    _changed(false, e.Message);
                    return;
                }
            }
        }

        _changed(true, $"dpu-keeper at '{_path}' holds what this daemon has");
        if (another)
        {
            Returned?.Invoke();
        }
    }

    private sealed record Item(SafeFileHandle? Descriptor, byte[] Note);
}
