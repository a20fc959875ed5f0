using System.Net.Sockets;
using Dpu.Link.Listener;
using Dpu.Link.Sockets;
using Dpu.Linux;

namespace Dpu.Link;

public sealed partial class LinkListener
{
    private static readonly TimeSpan FirstAcceptDelay = TimeSpan.FromMilliseconds(50);
    private static readonly TimeSpan LastAcceptDelay = TimeSpan.FromSeconds(1);

    // TLS and the services need little stack; a thousand connections must not reserve 8 GiB of addresses.
    private const int WorkerStackSize = 1024 * 1024;

    private void AcceptLoop(ListeningSocket listening)
    {
        Span<byte> address = stackalloc byte[SocketAddresses.MaxSize];
        var delay = FirstAcceptDelay;
        while (!_stopping.IsCancellationRequested)
        {
            var error = NativeSocket.Accept(listening.Handle, out var handle, address, out var size);
            if (error == 0)
            {
                delay = FirstAcceptDelay;
                Begin(listening, handle!, address[..size]);
                continue;
            }

            // Stop shuts the socket down first (EINVAL), then cancels. accept(2): errors of the new connection itself are
            // to be treated like EAGAIN.
            if (Volatile.Read(ref _stopped) || _stopping.IsCancellationRequested || error is errno.EINTR or errno.EAGAIN or errno.ECONNABORTED or errno.EPROTO
                or errno.ENETDOWN or errno.ENOPROTOOPT or errno.EHOSTDOWN or errno.ENONET or errno.EHOSTUNREACH or errno.EOPNOTSUPP or errno.ENETUNREACH)
            {
                continue;
            }

            // EMFILE, ENFILE, ENOBUFS, ENOMEM: the connection stays in the queue, an immediate retry would only spin.
            if (_acceptGate.TryPass(out var suppressed))
            {
                Log.AcceptFailed(_options.Logger, listening.Bound.ToString(), NativeSocket.Describe(error), delay, suppressed);
            }

            _stopping.Token.WaitHandle.WaitOne(delay);
            delay = delay * 2 < LastAcceptDelay ? delay * 2 : LastAcceptDelay;
        }
    }

    private void Begin(ListeningSocket listening, SafeSocketHandle handle, ReadOnlySpan<byte> address)
    {
        Socket? socket = null;
        var origin = "";
        var counted = false;
        try
        {
            origin = listening.Bound.Transport == LinkTransport.Unix ? $"uid {NativeSocket.PeerCredentials(handle).uid}" : SocketAddresses.Origin(address);
            counted = _limits.TryBeginHandshake(origin);
            if (!counted)
            {
                handle.Dispose();
                if (_refusalGate.TryPass(out var suppressed))
                {
                    Log.TooManyHandshakes(_options.Logger, origin, suppressed);
                }

                return;
            }

            if (listening.Bound.Transport == LinkTransport.Tcp)
            {
                KeepAlive.Apply(handle, _options.DeadPeerAfter);
            }

            socket = new Socket(handle);
            var worker = new Worker(new LinkStream(socket, _options.Time), socket, origin, listening.Bound);
            worker.Thread = new Thread(() => Run(worker), WorkerStackSize) { IsBackground = true, Name = "link" };
            lock (_lock)
            {
                if (_stopped)
                {
                    throw new OperationCanceledException();
                }

                _workers.Add(worker);
            }

            StartOrForget(worker);
        }
        catch (Exception e) when (e is SocketException or System.ComponentModel.Win32Exception or OutOfMemoryException or ThreadStartException or OperationCanceledException)
        {
            // Expected: the peer went away in the meantime, we are stopping, or the machine has no more threads.
            if (counted)
            {
                _limits.EndHandshake(origin);
            }

            socket?.Dispose();
            handle.Dispose();
        }
    }

    private void StartOrForget(Worker worker)
    {
        try
        {
            worker.Thread.Start();
        }
        catch
        {
            lock (_lock)
            {
                _workers.Remove(worker);
            }

            throw;
        }
    }

    private void Run(Worker worker)
    {
        try
        {
            Handle(worker);
        }
        catch (Exception e)
        {
            // A bug must not take the other connections with it.
            Log.HandshakeFailed(_options.Logger, e, worker.Origin);
        }
    }
}
