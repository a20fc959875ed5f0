using System.Buffers.Binary;
using System.Collections.Concurrent;
using Dpu.Fuse;
using Dpu.Fuse.Wire;
using Dpu.HostAgent;
using Dpu.HostAgent.Control;
using Dpu.HostAgent.Policy;
using Dpu.Hosting.Configuration;
using Dpu.Hosting.Lifetime;
using Dpu.Link;
using Dpu.Proto.V1;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;

namespace Dpu.EndToEnd.Tests.Lab;

/// <summary>
/// The host agent inside this process, all its own but for the service <c>fs</c>: that answers as the file system of a
/// directory does, until <see cref="Twist"/> changes an answer.
/// </summary>
internal sealed class HostileHost : IDisposable
{
    private readonly Task<int> _run;
    private readonly ConcurrentDictionary<LinkConnection, bool> _lanes = new();
    private IHostApplicationLifetime? _lifetime;

    /// <summary>Starts with a configuration file of the host agent; its exports do not matter.</summary>
    public HostileHost(string configuration, string root)
    {
        _run = Task.Run(() => DaemonHost.RunAsync<HostAgentConfiguration>(
            ["--config", configuration],
            daemon =>
            {
                HostAgentComposition.Configure(daemon);

                // The last registration counts.
                daemon.Services.AddSingleton(services =>
                {
                    _lifetime = services.GetRequiredService<IHostApplicationLifetime>();
                    return new LinkListener(
                        new LinkListenerOptions
                        {
                            Endpoints = daemon.Configuration.Listen,
                            Policy = PeerPolicy.From(daemon.Configuration),
                            Local = new LinkLocal { Name = "hostile" },
                        },
                        [new Files(this, root), services.GetRequiredService<ControlService>()]);
                });
            },
            DaemonSurroundings.OfThisProcess() with { LogOutput = Stream.Null }));
        Eventually.True(() => _run.IsCompleted || File.Exists(HostAgentConfigurationSocket(configuration)), Pair.Limit, "the hostile host");
        Assert.IsFalse(_run.IsCompleted, "the hostile host ended at once");
    }

    /// <summary>Makes of an honest answer what is sent, given the request; an empty result closes the connection. Null: honest.</summary>
    public Func<byte[], byte[], byte[]>? Twist { get; set; }

    /// <summary>Makes of an honest answer to a lane's hello what is sent. Null: honest.</summary>
    public Func<HelloReply, HelloReply>? TwistHello { get; set; }

    /// <summary>What a mount's notification lane is sent, at once; then nothing. Such a lane is offered where this is not null.</summary>
    public byte[]? Notifications { get; set; }

    /// <summary>Breaks off every lane, wherever it is.</summary>
    public void CutAll()
    {
        foreach (LinkConnection lane in _lanes.Keys)
        {
            lane.Abort();
        }
    }

    /// <summary>Whether the request is of that opcode and ends with that name.</summary>
    public static bool Asks(byte[] request, fuse_opcode opcode, string name) =>
        BinaryPrimitives.ReadUInt32LittleEndian(request.AsSpan(4)) == (uint)opcode
        && request.AsSpan().EndsWith(FuseMessage.Name(name));

    public void Dispose()
    {
        _lifetime?.StopApplication();
        Assert.IsTrue(_run.Wait(Pair.Limit), "the hostile host did not stop");
    }

    private static string HostAgentConfigurationSocket(string file) =>
        System.Text.Json.Nodes.JsonNode.Parse(File.ReadAllText(file))!["listen"]![0]!.GetValue<string>()["unix://".Length..];

    private sealed class Files(HostileHost owner, string root) : ILinkService
    {
        public string Name => "fs";

        public HelloReply Admit(LinkPeer peer, Hello hello)
        {
            // One lane, for each connection is a file system of its own.
            var honest = new HelloReply
            {
                Status = HelloStatus.Ok,
                Fs = new FsResult { MaxMessageSize = (uint)FuseLimits.MaxMessageSize, MaxLanes = 1, NeedsInit = true, Coherent = owner.Notifications is not null },
            };
            return owner.TwistHello?.Invoke(honest) ?? honest;
        }

        // Node ids of another connection are stale, as after a restart.
        public void Serve(LinkConnection connection, CancellationToken stopping)
        {
            using CancellationTokenRegistration cut = stopping.Register(connection.Abort);
            owner._lanes[connection] = true;
            try
            {
                if (connection.Hello.Fs.Channel == FsChannel.Notifications)
                {
                    connection.Stream.Write(owner.Notifications ?? []);
                    _ = connection.Stream.ReadByte();
                    return;
                }

                Serve(connection);
            }
            finally
            {
                owner._lanes.TryRemove(connection, out _);
            }
        }

        private unsafe void Serve(LinkConnection connection)
        {
            using var files = new PassthroughFileSystem(new PassthroughOptions { Root = root, Identity = IdentityPolicy.Trusting });
            var dispatcher = new FuseDispatcher(files, new FuseDispatcherOptions());
            FuseWorkerThread.Enter();
            byte[] reply = new byte[FuseLimits.MaxMessageSize];
            byte[] length = new byte[sizeof(uint)];
            while (true)
            {
                if (connection.Stream.ReadAtLeast(length, length.Length, throwOnEndOfStream: false) == 0)
                {
                    return;
                }

                byte[] request = new byte[BinaryPrimitives.ReadInt32LittleEndian(length)];
                length.CopyTo(request, 0);
                connection.Stream.ReadExactly(request.AsSpan(length.Length));
                int replyLength;

                // SAFETY: both arrays are pinned for the call and longer than what is said of them.
                fixed (byte* asked = request, answer = reply)
                {
                    replyLength = dispatcher.Dispatch(asked, request.Length, answer, reply.Length);
                }

                byte[] sent = reply.AsSpan(0, replyLength).ToArray();
                sent = sent.Length == 0 || owner.Twist is not { } twist ? sent : twist(request, sent);
                if (replyLength != 0 && sent.Length == 0)
                {
                    return;
                }

                connection.Stream.Write(sent);
            }
        }
    }
}
