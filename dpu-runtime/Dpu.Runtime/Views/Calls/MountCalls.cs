using System.Collections.Concurrent;
using System.Security.Cryptography;
using System.Text;
using Dpu.Linux;
using Dpu.Proto.V1;
using Dpu.Qtfs.Mount;
using Dpu.Relay;
using Dpu.Runtime.Hosts;
using Dpu.Runtime.Mounts;
using Google.Protobuf;
using Grpc.Core;

namespace Dpu.Runtime.Views.Calls;

/// <summary>
/// Calls of a view's programs that change mounts: what lies below a mount of a host is done there, the rest is this kernel's. Only of programs that are in the
/// view's own mount namespace: what one in a namespace of its own mounts is meant for itself. Thread-safe.
/// </summary>
internal sealed class MountCalls(MountManager mounts, HostLinks hosts, TimeProvider time, ILogger logger) : IDisposable
{
    private const int SysAdmin = 21; // CAP_SYS_ADMIN
    private const int TokenSize = 16;

    // A host's answer that does not come is asked for again, by the same token; a host that has lost it says so.
    private static readonly TimeSpan AnswerLimit = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan TryInterval = TimeSpan.FromMilliseconds(100);

    private readonly PathFinder _finder = new();

    // Finding a path may wait for a host.
    private readonly DialThreads _workers = new("view mount");

    // In which life of a host's memory of tokens it was asked last.
    private readonly ConcurrentDictionary<string, ulong> _lives = new(StringComparer.Ordinal);
    private readonly CancellationTokenSource _stopping = new();
    private long _unknown;

    /// <summary>Calls that ended with EIO, for nobody can say whether the host has carried them out.</summary>
    public long UnknownOutcomes => Interlocked.Read(ref _unknown);

    /// <summary>Handles one; see <see cref="CallHandler.Handle"/>.</summary>
    public void Handle(CallListener listener, CallKind kind, seccomp_notif call, Action<long?> answered)
    {
        if (listener.View.MountNamespace is not { Length: > 0 } own || ViewInit.NamespaceOf((int)call.pid, "mnt") != own)
        {
            answered(null);
        }
        else if (kind is not (CallKind.Mount or CallKind.Umount))
        {
            // Programs fall back to mount(2), as they do on kernels before 5.2.
            answered(-errno.ENOSYS);
        }
        else if (!CallerMemory.Has(call.pid, SysAdmin))
        {
            // The kernel has the words for that.
            answered(null);
        }
        else
        {
            _workers.Run(() =>
            {
                long? result = Do(listener, kind, call);

                // Else the next runtime asks again, by the same token.
                if (!_stopping.IsCancellationRequested)
                {
                    answered(result);
                }
            });
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _stopping.Cancel();
        _workers.Dispose();
        _finder.Dispose();
    }

    private long? Do(CallListener listener, CallKind kind, seccomp_notif call)
    {
        string view = listener.View.Configuration.Name;
        MountRequest? request = null;
        try
        {
            request = MountRequest.Read(mounts, _finder, kind, call, () => listener.IsValid(call.id));
            if (request is null)
            {
                return null;
            }

            (int error, string reason) = request.Error != 0 ? (request.Error, request.Reason) : Ask(listener, call, request);
            if (error != 0)
            {
                Log.MountCallFailed(logger, request.Asked.Change.ToString(), call.pid, view, request.Mount.Options.Target, request.Mount.Options.Host, error, reason);
                return -error;
            }

            Log.MountCallDone(logger, request.Asked.Change.ToString(), call.pid, view, request.Mount.Options.Target, request.Mount.Options.Host);
            return 0;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ObjectDisposedException)
        {
            // Expected: the mount has just ended.
            Log.MountCallFailed(logger, kind.ToString(), call.pid, view, request?.Mount.Options.Target ?? "?", request?.Mount.Options.Host ?? "?", errno.EIO, e.Message);
            return -errno.EIO;
        }
    }

    private (int Error, string Reason) Ask(CallListener listener, seccomp_notif call, MountRequest request)
    {
        string host = request.Mount.Options.Host;
        ChangeMountRequest asked = request.Asked;
        asked.Token = ByteString.CopyFrom(SHA256.HashData(Encoding.UTF8.GetBytes($"{listener.Entry}/{call.id}")).AsSpan(0, TokenSize));

        // An earlier runtime has asked it already, in that life.
        ulong sent = listener.MarkOf(call.id);
        asked.Life = sent != 0 ? sent : _lives.GetValueOrDefault(host);
        long began = time.GetTimestamp();
        while (true)
        {
            if (!listener.IsValid(call.id) || _stopping.IsCancellationRequested)
            {
                // Nobody waits for it any more, or the next runtime goes on with it.
                return (errno.EINTR, "its caller was killed, or this runtime is stopping");
            }

            if (hosts.Find(host) is not { Mounts: { } client } link)
            {
                if (time.GetElapsedTime(began) > request.Mount.Options.GiveUpAfter)
                {
                    return sent == 0 ? (errno.EHOSTUNREACH, "the host is away") : Unknown(host);
                }

                _ = _stopping.Token.WaitHandle.WaitOne(TryInterval);
                continue;
            }

            asked.Session = ByteString.CopyFrom(link.SessionId.Span);
            if (sent == 0 && asked.Life != 0)
            {
                listener.Mark(call.id, asked.Life);
            }

            try
            {
                ChangeMountResponse answer = client.ChangeMount(asked, deadline: time.GetUtcNow().UtcDateTime + AnswerLimit, cancellationToken: _stopping.Token);
                if (!answer.OtherLife)
                {
                    if (answer.Error == 0)
                    {
                        request.Mount.NameChanged(answer.ToldBy, answer.Directory, answer.Name.Span);
                    }

                    return (answer.Error is >= 0 and < 4096 ? answer.Error : errno.EIO, answer.Reason);
                }

                if (sent != 0)
                {
                    return Unknown(host);
                }

                _lives[host] = asked.Life = answer.Life;
                listener.Mark(call.id, 0);
            }
            catch (RpcException e) when (e.StatusCode is StatusCode.Unimplemented or StatusCode.PermissionDenied or StatusCode.InvalidArgument)
            {
                return (errno.EOPNOTSUPP, $"the host's agent does not mount for DPUs: {e.Status.Detail}; update it");
            }
            catch (RpcException)
            {
                // Expected where the link breaks. Whether it was asked is not known, and need not be: the token says which call it is.
                sent = asked.Life;
                _ = _stopping.Token.WaitHandle.WaitOne(TryInterval);
            }
        }
    }

    private (int Error, string Reason) Unknown(string host)
    {
        _ = Interlocked.Increment(ref _unknown);
        return (errno.EIO, $"host '{host}' has lost its memory of such calls with its agent, or is away: it may have done this one. Look there, and unmount what is too much");
    }
}
