using System.Globalization;

namespace Dpu.EndToEnd.Tests;

// Programs find what they would find on a local directory.
public sealed partial class LocksTests
{
    // The same commands on a directory of this machine and on a mount: every answer is the same.
    [TestMethod]
    [TestCategory("root")]
    public void RandomCommands_AnswerAsOnALocalDirectory()
    {
        using var pair = new Pair();
        string mount = pair.Up();
        string local = Directory.CreateDirectory(Path.Combine(pair.Folder, "local")).FullName;
        foreach (string kinds in (string[])["posix", "ofd", "flock", "posix ofd flock"])
        {
            File.WriteAllText(Path.Combine(pair.ExportRoot, "f"), "");
            File.WriteAllText(Path.Combine(local, "f"), "");
            int seed = Random.Shared.Next();
            string[] here = Play(Path.Combine(local, "f"), new Random(seed), kinds.Split(' '));
            string[] there = Play(Path.Combine(mount, "f"), new Random(seed), kinds.Split(' '));
            for (int i = 0; i < here.Length; i++)
            {
                Assert.AreEqual(here[i], IsAnotherHolder(here[i], there[i]) ? here[i] : there[i], $"{kinds}, seed {seed}, after {string.Join("; ", here[Math.Max(0, i - 30)..i])}");
            }
        }
    }

    // Where several locks are in the way, any of them may be named (fcntl(2), F_GETLK); GetLk tests say what is told of one.
    private static bool IsAnotherHolder(string here, string there)
    {
        string[] local = here.Split(" = "), remote = there.Split(" = ");
        return local.Length == 2 && remote.Length == 2 && local[0] == remote[0] && local[0].Contains(" get ", StringComparison.Ordinal)
            && IsInTheWay(local[0], local[1]) && IsInTheWay(remote[0], remote[1]);
    }

    // "0: get 1 posix w 6 3" and "r 5 3 process 1": type, start and length, of which 0 is to the end.
    private static bool IsInTheWay(string command, string answer)
    {
        string[] asked = command.Split(' ')[^3..], told = answer.Split(' ');
        long Number(string text) => long.Parse(text, CultureInfo.InvariantCulture);
        long End(string[] range) => range[2] == "0" ? long.MaxValue : Number(range[1]) + Number(range[2]);
        return told[0] is "r" or "w" && (asked[0] == "w" || told[0] == "w") && Number(told[1]) < End(asked) && Number(asked[1]) < End(told);
    }

    [TestMethod]
    [TestCategory("interop")]
    public void Sqlite_WrittenFromTheDpuAndTheHost_LosesNothing()
    {
        const int writes = 60;
        using var pair = new Pair();
        string mount = pair.Up();
        const string make = "import sqlite3\nd = sqlite3.connect('n.db')\nd.execute('create table n (v int)')\nd.execute('insert into n values (0)')\nd.commit()\n";
        Shell.Python(make, pair.ExportRoot);
        string write = $"""
            import sqlite3
            d = sqlite3.connect('n.db', timeout=60, isolation_level=None)
            for i in range({writes}):
                d.execute('begin immediate')
                v, = d.execute('select v from n').fetchone()
                d.execute('update n set v = ?', (v + 1,))
                d.execute('commit')
            say('done')

            """;
        using RunningProgram dpu = Shell.StartPython(write, mount);
        using RunningProgram host = Shell.StartPython(write, pair.ExportRoot);
        using RunningProgram other = Shell.StartPython(write, mount);
        foreach (RunningProgram program in (RunningProgram[])[dpu, host, other])
        {
            Assert.AreEqual("done", Shell.End(program).Single());
        }

        const string read = "import sqlite3\nd = sqlite3.connect('n.db')\nsay(d.execute('select v from n').fetchone()[0], d.execute('pragma integrity_check').fetchone()[0])\n";
        Assert.AreEqual($"{3 * writes} ok", Shell.Python(read, pair.ExportRoot).Single());
        Assert.AreEqual($"{3 * writes} ok", Shell.Python(read, mount).Single());
    }

    private static string[] Play(string file, Random random, string[] kinds)
    {
        const int processes = 3;
        Locker[] all = [.. Enumerable.Range(0, processes).Select(_ => new Locker())];
        try
        {
            var lines = new List<string>();
            foreach (Locker locker in all)
            {
                locker.Ask($"open 0 {file} rw");
                locker.Ask($"open 1 {file} rw");
                locker.Ask($"open 2 {file} r");
                locker.Ask($"open 3 {file} w");
            }

            for (int i = 0; i < 300; i++)
            {
                int process = random.Next(processes);
                int descriptor = random.Next(4);
                string kind = kinds[random.Next(kinds.Length)];
                string type = "rwu"[random.Next(3)].ToString();
                int start = random.Next(12);
                int length = random.Next(6);
                int what = random.Next(20);
                // The kernel does not wait for FUSE_RELEASE, so what it frees is free a little later there.
                bool closes = what == 0 && kinds is ["posix"];
                string command = closes ? $"close {descriptor}"
                    : what < 4 && kind != "flock" && type != "u" ? $"get {descriptor} {kind} {type} {start} {length}"
                    : $"set {descriptor} {kind} {type} {start} {length}";
                string answer = all[process].Ask(command);
                if (closes)
                {
                    string access = descriptor switch { 2 => "r", 3 => "w", _ => "rw" };
                    answer += all[process].Ask($"open {descriptor} {file} {access}");
                }

                lines.Add($"{process}: {command} = {Normalized(answer, all, kinds.Contains("ofd"))}");
            }

            return [.. lines];
        }
        finally
        {
            Array.ForEach(all, locker => locker.Dispose());
        }
    }

    // Processes by their place. Locally a lock of an open file has no process (-1); here it has the one that took it.
    private static string Normalized(string answer, Locker[] all, bool anyProcess)
    {
        string[] words = answer.Split(' ');
        if (words.Length == 4)
        {
            words[3] = anyProcess ? "?" : $"process {Array.FindIndex(all, locker => words[3] == locker.Id.ToString(CultureInfo.InvariantCulture))}";
        }

        return string.Join(' ', words);
    }
}
