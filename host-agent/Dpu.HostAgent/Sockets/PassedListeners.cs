using System.Runtime.InteropServices;
using Dpu.Linux;
using Dpu.Qtfs.Export;
using Dpu.Relay;
using Dpu.Relay.Descriptors;
using Microsoft.Win32.SafeHandles;

namespace Dpu.HostAgent.Sockets;

/// <summary>
/// Listening sockets that programs have passed: copies here of those of the DPU, and those of this machine that have a copy there. A thread of
/// its own waits with each. Thread-safe.
/// </summary>
internal sealed class PassedListeners
{
    /// <summary>The most of one session.</summary>
    public const int MostOfSession = 64;

    // The DPU asks again; it waits for twice as long.
    private static readonly TimeSpan QueueLimit = TimeSpan.FromSeconds(20);

    private readonly Lock _lock = new();
    private readonly Dictionary<(string Session, string Token), ListenerCopy> _copies = [];
    private readonly Dictionary<string, int> _counts = new(StringComparer.Ordinal);

    /// <summary>Makes the copy of a socket of the DPU, which waits under its token.</summary>
    /// <param name="tokens">Where it waits.</param>
    /// <param name="session">The session.</param>
    /// <param name="token">The DPU's.</param>
    /// <param name="flags">Its type, and whether its calls wait.</param>
    /// <param name="relayed">The end that is relayed.</param>
    /// <returns>0 or a negated errno.</returns>
    public int MakeCopy(PassedTokens tokens, string session, ReadOnlySpan<byte> token, DescriptorFlags flags, out SafeHandle? relayed)
    {
        relayed = null;
        if (!TryCount(session))
        {
            return -errno.ENOBUFS;
        }

        ListenerControl? control = ListenerControl.TryMake(out SafeFileHandle? end);
        ListenerCopy? copy = null;
        SafeFileHandle? program = null;
        bool runs = false;
        (string, string) key = (session, Convert.ToHexString(token));
        try
        {
            copy = control is null ? null : ListenerCopy.TryMake(flags, control, out program, out _);
            if (copy is null)
            {
                return -errno.EMFILE;
            }

            // The token first: it says whether it was used already.
            if (!tokens.TryAdd(session, token, program!, DescriptorKind.Listener, flags))
            {
                return -errno.ENOBUFS;
            }

            program = null;
            lock (_lock)
            {
                _copies[key] = copy;
            }

            Run(() => Watch(session, key, copy));
            runs = true;
            relayed = end;
            return 0;
        }
        finally
        {
            if (!runs)
            {
                program?.Dispose();
                copy?.Dispose();
                control?.Dispose();
                end?.Dispose();
                Uncount(session);
            }
        }
    }

    /// <summary>Connects to a copy here for a program of the DPU that has connected to the original; waits, though not for ever.</summary>
    public int Connect(string session, ReadOnlySpan<byte> token, uint uid, uint gid, out SafeHandle? connected, out SocketKind kind)
    {
        ListenerCopy? copy;
        lock (_lock)
        {
            copy = _copies.GetValueOrDefault((session, Convert.ToHexString(token)));
        }

        SafeFileHandle? socket = null;
        int error = copy is null ? -errno.ECONNREFUSED : copy.Connect(uid, gid, QueueLimit, out socket);
        (connected, kind) = (socket, copy?.Kind ?? SocketKind.Stream);
        return error;
    }

    /// <summary>Has a socket of this machine accept for its copy at the DPU.</summary>
    /// <param name="tokens">Where connections wait for the DPU to fetch them.</param>
    /// <param name="session">The session.</param>
    /// <param name="listener">The socket; its own from now on.</param>
    /// <param name="files">Says who has connected, as the export has it.</param>
    /// <param name="flags">Its type.</param>
    /// <param name="relayed">The end that is relayed.</param>
    /// <returns>0 or a negated errno.</returns>
    public int Serve(PassedTokens tokens, string session, SafeHandle listener, PassedFiles files, DescriptorFlags flags, out SafeHandle? relayed)
    {
        relayed = null;
        bool counted = TryCount(session);
        SafeFileHandle? end = null;
        ListenerControl? control = counted ? ListenerControl.TryMake(out end) : null;
        if (control is null)
        {
            listener.Dispose();
            if (counted)
            {
                Uncount(session);
            }

            return -errno.ENOBUFS;
        }

        Run(() =>
        {
            using (listener)
            using (control)
            {
                Accept(tokens, session, listener, control, files, flags & DescriptorFlags.Messages);
            }

            Uncount(session);
        });
        relayed = end;
        return 0;
    }

    private static void Run(ThreadStart work) => new Thread(work, 256 * 1024) { IsBackground = true, Name = "passed listener" }.Start();

    private static void Accept(PassedTokens tokens, string session, SafeHandle listener, ListenerControl control, PassedFiles files, DescriptorFlags flags)
    {
        byte[] token = [];
        Span<byte> asked = stackalloc byte[1];

        // One at a time, when the DPU's program has room for it: the others wait in the socket's own queue.
        while (control.TryRead(asked) && control.Accept(listener, out SafeFileHandle? accepted) == 0)
        {
            (uint uid, uint gid) = files.VisitorOf(accepted!);
            token = PassedTokens.Create();
            if (!tokens.TryAdd(session, token, accepted!, DescriptorKind.Socket, flags))
            {
                accepted!.Dispose();
            }

            if (!control.TryWrite(new ListenerNotice(token, uid, gid).Write()))
            {
                break;
            }
        }

        // The DPU has its copy no more, and did not fetch it.
        if (token.Length > 0 && control.IsOver && tokens.TryTake(session, token, out SafeHandle? left, out _, out _))
        {
            left!.Dispose();
        }
    }

    private void Watch(string session, (string, string) key, ListenerCopy copy)
    {
        // The DPU says nothing but the end.
        _ = copy.Await();
        lock (_lock)
        {
            _ = _copies.Remove(key);
        }

        copy.Dispose();
        Uncount(session);
    }

    private bool TryCount(string session)
    {
        lock (_lock)
        {
            int count = _counts.GetValueOrDefault(session);
            _counts[session] = Math.Min(count + 1, MostOfSession);
            return count < MostOfSession;
        }
    }

    private void Uncount(string session)
    {
        lock (_lock)
        {
            if (--_counts[session] == 0)
            {
                _ = _counts.Remove(session);
            }
        }
    }
}
