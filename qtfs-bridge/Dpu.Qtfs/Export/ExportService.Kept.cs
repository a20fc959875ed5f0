using System.Diagnostics.CodeAnalysis;
using Dpu.Keeper;
using Dpu.Qtfs.Export.Kept;

namespace Dpu.Qtfs.Export;

// Mounts that outlive the agent, by its keeper.
public sealed partial class ExportService
{
    private readonly Keeping? _keeping;
    private readonly AnswerCounters _answers = new();
    private int _restored;

    /// <summary>Whether mounts outlive the agent's death at the moment.</summary>
    public bool IsProtected => _keeping is { IsProtected: true };

    /// <summary>Sessions that went on from an earlier life of the agent.</summary>
    public int RestoredSessions => Volatile.Read(ref _restored);

    /// <summary>Requests that ended with EIO, as an earlier life of the agent may have executed them.</summary>
    public long UnknownOutcomes => _answers.Unknown;

    /// <summary>Requests that came again and had the answer of their first execution.</summary>
    public long ReplayedAnswers => _answers.Replayed;

    /// <summary>
    /// Goes on with the mounts of an earlier life of the agent whose exports policy still gives. To be called once, after <see cref="Configure"/>
    /// and before the first connection. What cannot go on is let go.
    /// </summary>
    public void Restore()
    {
        if (_keeping is null)
        {
            return;
        }

        // Opening files needs a thread that can change its identity, which is for ever.
        var thread = new Thread(RestoreAll) { Name = "qtfs-restore" };
        thread.Start();
        thread.Join();
    }

    private void RestoreAll()
    {
        lock (_lock)
        {
            var found = _keeping!.List().GroupBy(KeptMount.KeyOf, StringComparer.Ordinal)
                .Select(group => (group.Key, Entries: group.ToArray(), Note: NoteOf(group.Key, group, out string problem), Problem: problem));

            // Where a mount was ending when the agent died, the one that took its place is newer.
            foreach ((string key, KeptEntry[] entries, MountNote? note, string problem) in found.OrderByDescending(mount => mount.Note?.Started).ToArray())
            {
                ExportDefinition? export = null;
                string? reason = note is null ? problem : FindProblem(note, out export);
                if (reason is not null)
                {
                    LetGo(key, note, reason);
                    continue;
                }

                Restore(key, entries, note!, export!);
            }

            Volatile.Write(ref _restored, _sessions.Count);
        }
    }

    private static MountNote? NoteOf(string key, IEnumerable<KeptEntry> entries, out string problem)
    {
        problem = "it was not whole yet";
        return KeptMount.NoteAmong(key, entries) is { } entry ? MountNote.Read(entry.Note, out problem) : null;
    }

    private string? FindProblem(MountNote note, out ExportDefinition? export)
    {
        export = _exports.FirstOrDefault(
            candidate => candidate.Name == note.Export && candidate.Peers.Contains(note.Peer) && candidate.Fingerprint() == note.Policy);
        return export is null ? "policy no longer gives it"
            : !_sessions.TryGetValue(note.Session, out ExportSession? session) ? null
            : session.Peer != note.Peer || session.Mounts.ContainsKey(note.Parameters.MountId) ? "another one has taken its place"
            : null;
    }

    [SuppressMessage("Design", "CA1031", Justification = "Whatever an earlier agent has left must not keep this one from its start.")]
    private void Restore(string key, KeptEntry[] entries, MountNote note, ExportDefinition export)
    {
        var kept = new KeptMount(_keeping!, key, entries);
        try
        {
            if (!kept.OpenSlots(ExportedMount.MostSlots))
            {
                // Without the answers of the life before, the peer must not send anything again that it sent there.
                note = note with { Life = (ulong)Random.Shared.NextInt64(1, long.MaxValue) };
            }

            ExportSession session = _sessions.GetValueOrDefault(note.Session) ?? new ExportSession(note.Session, note.Peer, note.SessionStarted);
            ExportedMount mount = Open(session, note, export, Usage(note.Peer), kept);
            kept.Describe(note);
            kept.ForgetEarlier();
            session.Mounts.Add(mount.Id, mount);
            _sessions[session.Id] = session;
            Log.MountRestored(_logger, export.Name, note.Peer, mount.OpenHandles, mount.LockOwners, mount.LostHandles);
        }
        catch (Exception e)
        {
            kept.End();
            LetGo(key, note, e.Message);
        }
    }

    private void LetGo(string key, MountNote? note, string why)
    {
        Log.MountNotRestored(_logger, note?.Export ?? key, note?.Peer ?? "?", why);
        _keeping!.DropAll(key + "/");
    }

    // On the keeper's watch: it came without what was given quietly, and perhaps with what an earlier life left that nobody has asked for.
    private void HoldAgain()
    {
        ExportedMount[] mounts;
        lock (_lock)
        {
            mounts = [.. _sessions.Values.SelectMany(session => session.Mounts.Values)];
            HashSet<string> known = [.. mounts.Select(mount => mount.Kept?.Key ?? "")];
            foreach (string stale in _keeping!.List().Select(KeptMount.KeyOf).Distinct(StringComparer.Ordinal).Where(key => !known.Contains(key)).ToArray())
            {
                _keeping.DropAll(stale + "/");
            }
        }

        Array.ForEach(mounts, static mount => mount.HoldAgain());
    }

    private void LookAfterKeeper()
    {
        int refused = _keeping?.TakeFailure() ?? 0;
        if (refused != 0 && refused != Dpu.Linux.errno.ENOENT)
        {
            Log.KeeperRefused(_logger, refused);
        }
    }
}
