using Dpu.Fuse;
using Dpu.Fuse.Wire;
using Dpu.Keeper;
using Dpu.Link;
using Dpu.Proto.V1;
using Dpu.Qtfs.Export.Coherence;
using Dpu.Qtfs.Export.Kept;
using Dpu.Qtfs.Export.Sockets;

namespace Dpu.Qtfs.Export;

// The making of mounts.
public sealed partial class ExportService
{
    private ExportedMount OpenNew(ExportSession session, Hello hello, ExportDefinition export, PeerUsage usage)
    {
        KeptMount? kept = _keeping is null ? null : new KeptMount(_keeping, KeptMount.NewKey(session.Id, hello.Fs.MountId), []);
        var note = new MountNote
        {
            Session = session.Id,
            SessionStarted = session.Started,
            Peer = session.Peer,
            Started = _time.GetUtcNow(),
            Export = export.Name,
            Policy = export.Fingerprint(),
            Parameters = hello.Fs,
            Machine = hello.Machine,
            Life = (ulong)Random.Shared.NextInt64(1, long.MaxValue),

            // A new mount's node ids must never mean anything to who still holds an old mount's.
            FirstGeneration = _nextGeneration += 1 << 16,
        };
        try
        {
            _ = kept?.OpenSlots(ExportedMount.MostSlots);
            ExportedMount mount = Open(session, note, export, usage, kept);
            kept?.Describe(note);
            return mount;
        }
        catch (Exception e)
        {
            kept?.End();
            throw e is KeeperException ? new IOException(e.Message, e) : e;
        }
    }

    private ExportedMount Open(ExportSession session, MountNote note, ExportDefinition export, PeerUsage usage, KeptMount? kept)
    {
        FsParameters parameters = note.Parameters;
        bool readOnly = export.ReadOnly || parameters.ReadOnly;
        MountChanges? changes = parameters.Coherent && export.Cacheable && _hostMounts is not null && _watcher is { Available: true } ? new MountChanges(_watcher, export.Name, _logger) : null;
        if (note.Negotiation is not null)
        {
            // More ns have passed since the machine's start than there were notifications, in all lives.
            changes?.ContinueFrom((ulong)_time.GetElapsedTime(0).Ticks * 100);
        }

        TimeSpan cache = TimeSpan.FromMicroseconds(Math.Min(parameters.CacheTimeoutNs / 1000, 86_400_000_000UL));
        bool zeroMessageOpen = parameters.ZeroMessageOpen && !parameters.HostLocks && changes is not null && export.Strict.IsEmpty;
        PassthroughOptions passthrough = new()
        {
            Root = export.Path,
            ReadOnly = readOnly,
            Identity = export.Identity,
            AllowDeviceNodes = export.AllowDeviceNodes,
            EntryTimeout = cache,
            AttributeTimeout = cache,
            Watcher = changes,
            NodeBudget = usage.Nodes,
            HandleBudget = usage.Handles,
            HostLocks = parameters.HostLocks,
            ZeroMessageOpen = zeroMessageOpen,
            Locks = usage.Locks,
            OnLockLimit = what => TellLockLimit(usage, export.Name, what),
            Kept = kept,
            Identities = parameters.Returns,
            FirstGeneration = note.FirstGeneration,
        };
        PeerSockets? bound = ServesSockets && parameters.Sockets ? new PeerSockets(export, session.Peer, _time, _logger, kept) : null;
        bound?.Restore();
        passthrough = passthrough with { Binder = bound };
        PassthroughFileSystem? fileSystem = null;
        try
        {
            fileSystem = new PassthroughFileSystem(passthrough);
            if (export.Processes && !fileSystem.IsTopOfProcesses)
            {
                throw new IOException($"'{export.Path}' is not the top of a procfs, as an export of kind \"proc\" must be");
            }

            if (changes is not null)
            {
                changes.FileSystem = fileSystem;
            }

            _hostMounts?.Join(fileSystem, changes);

            // Without an OPEN, nothing but a notification makes the peer's kernel drop what it has of a file.
            zeroMessageOpen = zeroMessageOpen && fileSystem.Watch(FuseConstants.FUSE_ROOT_ID);
            if (note.Negotiation is { } agreed && (agreed.Flags & FuseConstants.FUSE_NO_OPEN_SUPPORT) != 0 && !zeroMessageOpen)
            {
                throw new IOException("its DPU opens files without saying so, which needs changes to be told, and they cannot be any more");
            }

            var dispatcher = new FuseDispatcher(fileSystem, new FuseDispatcherOptions
            {
                PeerArchitecture = ArchitectureOf(note.Machine) ?? throw new InvalidOperationException("an admitted hello names an architecture"),
                PeerPageSize = note.Machine.PageSize,
                Features = FeaturesOf(fileSystem, parameters) | (zeroMessageOpen ? FuseConstants.FUSE_NO_OPEN_SUPPORT : 0),
                Resume = note.Negotiation,
                OnBug = (opcode, node, e) => Log.RequestBug(_logger, export.Name, opcode, node, e),
            });
            return new ExportedMount(session, note, export, readOnly, fileSystem, dispatcher, _time)
            {
                Kept = kept,
                SocketOf = ServesSockets ? TellSocket : null,
                FifoOf = ServesSockets ? TellFifo : null,
                Bound = bound,
                Answers = _answers,
                OnReturned = (files, lost) => Log.MountReturned(_logger, export.Name, session.Peer, files, lost),
                OnUnknown = (opcode, node) => Log.OutcomeUnknown(_logger, export.Name, session.Peer, opcode, node),
                Changes = changes,
                HostMounts = _hostMounts,
                Grants = changes is null ? null : new CacheGrants(fileSystem, changes, export.Strict),
            };
        }
        catch
        {
            if (fileSystem is not null)
            {
                _hostMounts?.Leave(fileSystem);
                fileSystem.Dispose();
            }

            bound?.Dispose();
            changes?.End();
            throw;
        }
    }

    // Files of the kernel's own trees cannot be mapped shared, as on the host.
    private static ulong FeaturesOf(PassthroughFileSystem fileSystem, FsParameters parameters) =>
        (FuseFeatures.Default & ~(fileSystem.RootIsSpecial ? FuseConstants.FUSE_DIRECT_IO_ALLOW_MMAP : 0)) | (parameters.HostLocks ? FuseFeatures.Locks : 0);

    private static System.Runtime.InteropServices.Architecture? ArchitectureOf(Machine? machine) => machine?.Architecture switch
    {
        Architecture.X8664 => System.Runtime.InteropServices.Architecture.X64,
        Architecture.Arm64 => System.Runtime.InteropServices.Architecture.Arm64,
        _ => null,
    };
}
