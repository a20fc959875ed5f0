using System.Globalization;
using System.Text;

namespace Dpu.EndToEnd.Tests;

// Random operations on the host and through two mounts that cache, compared after each.
public sealed partial class CoherenceTests
{
    private const int Operations = 400;
    private static readonly string[] s_names = ["a", "b", "c", "d", "e"];

    [TestMethod]
    [TestCategory("root")]
    [DataRow(1)]
    [DataRow(2)]
    public void RandomOperations_OnTheHostAndThroughTwoMounts_LookTheSameEverywhere(int seed)
    {
        using var pair = new Pair();
        string one = Up(pair);
        string two = Directory.CreateDirectory(Path.Combine(pair.MountRoot, "two")).FullName;
        pair.Runtime.Ctl("mount", "host1:data", two, "--cache", "coherent").EnsureSuccess();
        Eventually.True(() => IsCaching(pair, two), Pair.Limit, "the second mount's cache");
        string[] places = [pair.ExportRoot, one, two];
        foreach (string directory in (string[])["", "x", "y"])
        {
            Directory.CreateDirectory(Path.Combine(pair.ExportRoot, directory));
        }

        var random = new Random(seed);
        var done = new List<string>();
        for (int i = 0; i < Operations; i++)
        {
            int place = random.Next(places.Length);
            done.Add(string.Create(CultureInfo.InvariantCulture, $"{i}: {(place == 0 ? "host" : $"mount {place}")}: {Act(random, places[place])}"));
            string[] seen = [];
            bool same = Eventually.Within(
                () =>
                {
                    seen = [.. places.Select(Snapshot)];
                    return seen[0] == seen[1] && seen[0] == seen[2];
                },
                TimeSpan.FromSeconds(5));
            Assert.IsTrue(same, $"seed {seed}, after\n{string.Join('\n', done.TakeLast(12))}\nthe host has\n{seen[0]}\nmount 1\n{seen[1]}\nmount 2\n{seen[2]}");
        }
    }

    private static string Act(Random random, string root)
    {
        string Any() => Path.Combine(root, random.Next(3) switch { 0 => "", 1 => "x", _ => "y" }, s_names[random.Next(s_names.Length)]);
        string file = Any(), other = Any(), what;
        try
        {
            switch (random.Next(9))
            {
                case 0:
                    what = $"write {file}";
                    File.WriteAllText(file, random.Next().ToString(CultureInfo.InvariantCulture));
                    break;
                case 1:
                    what = $"append {file}";
                    File.AppendAllText(file, "+");
                    break;
                case 2:
                    what = $"remove {file}";
                    File.Delete(file);
                    break;
                case 3:
                    what = $"move {file} {other}";
                    File.Move(file, other, overwrite: true);
                    break;
                case 4:
                    what = $"chmod {file}";
                    File.SetUnixFileMode(file, (UnixFileMode)random.Next(0x1c0, 0x200));
                    break;
                case 5:
                    what = $"link {file} {other}";
                    _ = ExternalProgram.Run("ln", ["-f", file, other], Pair.Limit);
                    break;
                case 6:
                    what = $"truncate {file}";
                    using (FileStream stream = new(file, FileMode.Open))
                    {
                        stream.SetLength(random.Next(5));
                    }

                    break;
                case 7:
                    what = $"overwrite {file}";
                    using (FileStream stream = new(file, FileMode.Open))
                    {
                        stream.Write(Encoding.ASCII.GetBytes([(char)('A' + random.Next(26))]));
                    }

                    break;
                default:
                    what = $"time {file}";
                    File.SetLastWriteTimeUtc(file, DateTime.UnixEpoch.AddSeconds(random.Next()));
                    break;
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // Expected: most names do not exist most of the time.
            return $"nothing: {e.Message}";
        }

        return what;
    }

    private static string Snapshot(string root)
    {
        var text = new StringBuilder();
        foreach (string directory in (string[])["", "x", "y"])
        {
            foreach (string name in s_names)
            {
                var file = new FileInfo(Path.Combine(root, directory, name));
                if (!file.Exists)
                {
                    continue;
                }

                string content;
                try
                {
                    content = File.ReadAllText(file.FullName);
                }
                catch (IOException)
                {
                    // Gone since.
                    content = "?";
                }

                text.Append(CultureInfo.InvariantCulture, $"{directory}/{name} {file.UnixFileMode} {file.Length} {file.LastWriteTimeUtc:O} {content}\n");
            }
        }

        return text.ToString();
    }
}
