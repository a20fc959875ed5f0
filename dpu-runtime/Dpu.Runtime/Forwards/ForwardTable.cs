using System.Globalization;
using System.Runtime.InteropServices;
using Dpu.Hosting.Configuration;
using Dpu.Linux;
using Dpu.Qtfs.Mount.Sockets;
using Dpu.Relay.Addresses;
using Dpu.Runtime.Hosts;
using Dpu.Runtime.Mounts;
using Grpc.Core;

namespace Dpu.Runtime.Forwards;

/// <summary>The addresses that are forwarded outside of mounts: those of the configuration, and those that commands have made. Thread-safe.</summary>
/// <param name="relays">Carries connections.</param>
/// <param name="hosts">The links.</param>
/// <param name="logger">The log.</param>
public sealed class ForwardTable(ISocketRelays relays, HostLinks hosts, ILogger<ForwardTable> logger) : IDisposable
{
    private const int Most = 1024;

    private readonly Lock _lock = new();
    private readonly List<Forward> _forwards = [];
    private long _lastId;

    /// <summary>All, the oldest first.</summary>
    public IReadOnlyList<Dpu.Proto.V1.Forward> All
    {
        get
        {
            lock (_lock)
            {
                return [.. _forwards.Select(forward => forward.ToMessage(hosts))];
            }
        }
    }

    /// <summary>The name of a number.</summary>
    public static string NameOf(long id) => string.Create(CultureInfo.InvariantCulture, $"forwards/{id}");

    /// <summary>Has those of the configuration, and leaves those of commands; what cannot be had is logged, and tried again at the next reload.</summary>
    /// <returns>What has changed.</returns>
    public List<string> Configure(IReadOnlyList<ForwardConfiguration> wanted)
    {
        List<string> applied = [];
        lock (_lock)
        {
            foreach (Forward gone in _forwards.Where(forward => forward.Configured && !wanted.Contains(forward.Definition)).ToArray())
            {
                _ = _forwards.Remove(gone);
                gone.Dispose();
                applied.Add($"forward of {gone.Definition.Listens} removed");
            }

            foreach (ForwardConfiguration definition in wanted.Where(definition => !_forwards.Exists(forward => forward.Definition == definition)))
            {
                int error = Add(definition, configured: true, out _);
                if (error < 0)
                {
                    Log.NotForwarded(logger, definition.Listens, Marshal.GetPInvokeErrorMessage(-error));
                }
                else
                {
                    applied.Add($"forward of {definition.Listens} added");
                }
            }
        }

        return applied;
    }

    /// <summary>Adds one of a command.</summary>
    /// <exception cref="MountException">It cannot be had.</exception>
    public Dpu.Proto.V1.Forward Create(Dpu.Proto.V1.Forward asked)
    {
        ArgumentNullException.ThrowIfNull(asked);
        string host = asked.Host.StartsWith("hosts/", StringComparison.Ordinal) ? asked.Host["hosts/".Length..] : asked.Host;
        if (host.Length == 0)
        {
            host = hosts.All is [{ } only] ? only.HostName : throw new MountException(StatusCode.InvalidArgument, "the configuration names several hosts, or none: say which");
        }

        if (hosts.Find(host) is null)
        {
            throw new MountException(StatusCode.NotFound, $"the configuration names no host '{host}'");
        }

        if ((UnixAddress.Problem(asked.DpuAddress) ?? UnixAddress.Problem(asked.HostAddress)) is { } problem)
        {
            throw new MountException(StatusCode.InvalidArgument, $"an address is malformed: {problem}");
        }

        if (asked.Type is not ("stream" or "seqpacket" or "datagram") || asked.Mode > 0x1ff)
        {
            throw new MountException(StatusCode.InvalidArgument, "a type is stream, seqpacket or datagram, and a mode 0777 at most");
        }

        var definition = new ForwardConfiguration(host, asked.DpuAddress, asked.HostAddress, asked.Reverse, asked.Type, asked.Mode, asked.Uid, asked.Gid);
        lock (_lock)
        {
            if (_forwards.Exists(forward => forward.Definition.Listens == definition.Listens))
            {
                throw new MountException(StatusCode.AlreadyExists, $"{definition.Listens} is forwarded already");
            }

            int error = Add(definition, configured: false, out Forward? added);
            return added is not null
                ? added.ToMessage(hosts)
                : throw new MountException(
                    error is -errno.EADDRINUSE or -errno.EEXIST ? StatusCode.AlreadyExists : StatusCode.FailedPrecondition,
                    $"cannot listen on {definition.DpuAddress}: {(error == -errno.EADDRINUSE ? "another program does" : error == -errno.EEXIST ? "there is a file that is no socket" : Marshal.GetPInvokeErrorMessage(-error))}");
        }
    }

    /// <summary>Removes one; its connections go on.</summary>
    /// <exception cref="MountException">There is none.</exception>
    public void Delete(string name, string address)
    {
        Forward gone;
        lock (_lock)
        {
            Forward[] found = [.. _forwards.Where(forward => name is "" or "forwards/-"
                ? (forward.Definition.Reverse ? forward.Definition.HostAddress : forward.Definition.DpuAddress) == address
                : NameOf(forward.Id) == name)];
            gone = found is [{ } one] ? one : throw new MountException(
                StatusCode.NotFound, found.Length == 0 ? "there is no such forward; 'dpuctl socket list' lists them" : $"several hosts listen on {address}: name it by its id");
            _ = _forwards.Remove(gone);
        }

        gone.Dispose();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Forward[] all;
        lock (_lock)
        {
            all = [.. _forwards];
            _forwards.Clear();
        }

        Array.ForEach(all, forward => forward.BreakOff());
    }

    private int Add(ForwardConfiguration definition, bool configured, out Forward? added)
    {
        added = null;
        if (_forwards.Count >= Most)
        {
            return -errno.ENFILE;
        }

        var forward = new Forward(++_lastId, definition, configured, logger);
        int error = forward.Start(relays);
        if (error == 0)
        {
            _forwards.Add(forward);
            added = forward;
        }

        return error;
    }
}
