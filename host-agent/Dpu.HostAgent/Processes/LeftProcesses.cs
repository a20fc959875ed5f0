using System.Globalization;
using Dpu.HostAgent.Processes.Groups;

namespace Dpu.HostAgent.Processes;

/// <summary>The processes that are left in a group. Pure looks; thread-safe.</summary>
internal static class LeftProcesses
{
    // Zombies are listed by some kernels.
    private const int MostLists = 8;

    /// <summary>Whether there are any besides that one.</summary>
    public static bool Any(IProcessGroup group, int besides) => All(group, besides).Count > 0;

    /// <summary>The one to be stood for: the one that a pid file names, else the topmost: the leader of a session, or the oldest. 0 where there is none.</summary>
    /// <param name="group">Where.</param>
    /// <param name="besides">The one that has ended.</param>
    /// <param name="pidFiles">Files in which one may have said its number.</param>
    /// <param name="uid">Whose those files are.</param>
    /// <param name="named">Whether it is named by one.</param>
    public static int Topmost(IProcessGroup group, int besides, IEnumerable<string> pidFiles, uint uid, out bool named)
    {
        List<Seen> all = All(group, besides);
        int said = pidFiles.Select(file => PidFile.Read(file, uid)).FirstOrDefault(number => all.Exists(one => one.Number == number));
        named = said != 0;
        return named ? said : all.Where(one => !all.Exists(other => other.Number == one.Parent))
            .OrderByDescending(one => one.Session == one.Number).ThenBy(one => one.Began).Select(one => one.Number).FirstOrDefault();
    }

    // One that has ended since it was listed may have forked before that: then the next list has its child.
    private static List<Seen> All(IProcessGroup group, int besides)
    {
        List<Seen> all = [];
        for (int i = 0; i < MostLists && all.Count == 0; i++)
        {
            int[] listed = [.. group.Processes().Where(process => process != besides)];
            if (listed.Length == 0)
            {
                break;
            }

            all.AddRange(listed.Select(Read).OfType<Seen>());
        }

        return all;
    }

    // None of one that has ended, and waits for its parent. proc(5): the name, in parentheses, may hold anything.
    private static Seen? Read(int process)
    {
        try
        {
            string status = File.ReadAllText(string.Create(CultureInfo.InvariantCulture, $"/proc/{process}/stat"));
            string[] fields = status[(status.LastIndexOf(')') + 2)..].Split(' ');
            return fields.Length > 19 && fields[0] is not ("Z" or "X") && int.TryParse(fields[1], out int parent) && int.TryParse(fields[3], out int session) && ulong.TryParse(fields[19], out ulong began)
                ? new Seen(process, parent, session, began)
                : null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentOutOfRangeException)
        {
            // Expected: it has ended.
            return null;
        }
    }

    private sealed record Seen(int Number, int Parent, int Session, ulong Began);
}
