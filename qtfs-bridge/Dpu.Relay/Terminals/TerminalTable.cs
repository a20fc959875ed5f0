using System.Globalization;
using Dpu.Linux;
using Microsoft.Win32.SafeHandles;

namespace Dpu.Relay.Terminals;

/// <summary>
/// The terminals that cross, by the peer with which they do. Programs pass the same one several times (as their input, output and errors): that is one
/// twin, for of two each would get a part of what is typed. Thread-safe.
/// </summary>
/// <param name="time">The clock.</param>
internal sealed class TerminalTable(TimeProvider time)
{
    /// <summary>The most with one peer: the kernel has 4,096 pseudoterminals by default, and logins need them.</summary>
    public const int MostOfPeer = 64;

    // As long as the other end may take to fetch it.
    private static readonly TimeSpan Unjoined = Descriptors.PassedTokens.Limit;

    private readonly Lock _lock = new();
    private readonly Dictionary<(string Peer, string Terminal), Given> _given = [];
    private readonly Dictionary<(string Peer, string Token), SafeFileHandle?> _running = [];
    private readonly Dictionary<string, int> _counts = new(StringComparer.Ordinal);

    /// <summary>What tells a terminal of this machine from others: the same for all descriptors of it.</summary>
    public static unsafe string IdentityOf(int descriptor)
    {
        statx status;
        byte empty = 0;
        uint number = 0;

        // SAFETY: a struct, a byte and an int on this stack.
        _ = LibC.statx(descriptor, &empty, fcntl.AT_EMPTY_PATH, stat.STATX_TYPE | stat.STATX_INO, &status);
        return LibC.ioctl(descriptor, ioctl_tty.TIOCGPTN, &number) == 0
            ? string.Create(CultureInfo.InvariantCulture, $"master {status.stx_dev_major}:{status.stx_dev_minor} {number}")
            : string.Create(CultureInfo.InvariantCulture, $"terminal {status.stx_dev_major}:{status.stx_dev_minor} {status.stx_ino}");
    }

    /// <summary>The token under which a terminal crosses already; null where it does not.</summary>
    public byte[]? TokenOf(string peer, string terminal)
    {
        lock (_lock)
        {
            return _given.GetValueOrDefault((peer, terminal)) is { } given && (_running.ContainsKey((peer, Convert.ToHexString(given.Token))) || time.GetElapsedTime(given.Since) < Unjoined)
                ? given.Token : null;
        }
    }

    /// <summary>A terminal of a program here is offered to the other end.</summary>
    public void Give(string peer, string terminal, byte[] token)
    {
        lock (_lock)
        {
            foreach ((string Peer, string Terminal) old in _given.Where(one => time.GetElapsedTime(one.Value.Since) >= Unjoined && !_running.ContainsKey((one.Key.Peer, Convert.ToHexString(one.Value.Token)))).Select(one => one.Key).ToArray())
            {
                _ = _given.Remove(old);
            }

            _given[(peer, terminal)] = new Given(token, time.GetTimestamp());
        }
    }

    /// <summary>An end begins; false where the peer has too many.</summary>
    /// <param name="peer">The peer.</param>
    /// <param name="token">Its token.</param>
    /// <param name="master">Where it is a twin's whose slave may be opened once more; the end's still.</param>
    public bool TryBegin(string peer, ReadOnlySpan<byte> token, SafeFileHandle? master)
    {
        lock (_lock)
        {
            int count = _counts.GetValueOrDefault(peer);
            if (count >= MostOfPeer || !_running.TryAdd((peer, Convert.ToHexString(token)), master))
            {
                return false;
            }

            _counts[peer] = count + 1;
            return true;
        }
    }

    /// <summary>It is over.</summary>
    public void End(string peer, string token)
    {
        lock (_lock)
        {
            if (_running.Remove((peer, token)) && --_counts[peer] == 0)
            {
                _ = _counts.Remove(peer);
            }

            foreach ((string Peer, string Terminal) key in _given.Where(one => one.Key.Peer == peer && Convert.ToHexString(one.Value.Token) == token).Select(one => one.Key).ToArray())
            {
                _ = _given.Remove(key);
            }
        }
    }

    /// <summary>Opens the slave of a twin once more; null where there is none, and why.</summary>
    public SafeFileHandle? TryOpenAgain(string peer, ReadOnlySpan<byte> token, int flags, out string reason)
    {
        lock (_lock)
        {
            SafeFileHandle? master = _running.GetValueOrDefault((peer, Convert.ToHexString(token)));
            reason = "the terminal that it names has ended here";
            return master is null || master.IsClosed ? null : PseudoTerminal.TryOpenSlave(master, flags, out reason);
        }
    }

    private sealed record Given(byte[] Token, long Since);
}
