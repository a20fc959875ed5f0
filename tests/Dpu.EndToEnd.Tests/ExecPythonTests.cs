using System.Xml.Linq;

namespace Dpu.EndToEnd.Tests;

/// <summary>
/// Debian's regression tests of Python that say something of processes, descriptors, signals and terminals: run here, and run through rexec; each has the same
/// outcome. They are thousands of small programs that other people have written.
/// </summary>
[TestClass]
public sealed class ExecPythonTests
{
    // Virtual machines have no vsock to themselves, and those tests would wait for it for ever.
    private const string Options = "-v --timeout 300 --ignore *VSOCK*";
    private static readonly TimeSpan s_limit = TimeSpan.FromMinutes(10);

    [TestMethod]
    [TestCategory("interop")]
    public void RegressionTests_ThatAreQuick_EndAsHere() =>
        Compare("test_pty test_popen test_pipes test_openpty test_fcntl test_ioctl test_tty test_epoll test_resource test_getpass", 50);

    [TestMethod]
    [TestCategory("soak")]
    public void RegressionTests_OfProcessesSignalsAndDescriptors_EndAsHere() =>
        Compare("test_subprocess test_signal test_os test_posix test_fork1 test_wait3 test_wait4 test_select test_poll test_sched test_eintr test_threadsignals test_selectors test_asyncio.test_subprocess test_asyncio.test_unix_events test_file_eintr test_tempfile test_mmap test_faulthandler test_cmd_line test_socket", 1000);

    private static void Compare(string modules, int least)
    {
        using var pair = new ExecPair(programs: ["/usr/bin/python3"]);
        Dictionary<string, string> here = Run(pair, "here", "/usr/bin/python3", modules);
        Dictionary<string, string> through = Run(pair, "through", "$REXEC /usr/bin/python3", modules);
        Assert.IsGreaterThanOrEqualTo(least, here.Count, "tests that were run here");
        string[] differ = [.. here.Keys.Union(through.Keys).Order(StringComparer.Ordinal)
            .Where(test => here.GetValueOrDefault(test) != through.GetValueOrDefault(test))
            .Select(test => $"{test}: here {here.GetValueOrDefault(test, "not run")}, through rexec {through.GetValueOrDefault(test, "not run")}")];
        Assert.IsEmpty(differ, $"{differ.Length} of {here.Count} tests differ:\n{string.Join('\n', differ)}");
        Console.WriteLine($"{here.Count} tests, {here.Values.Count(outcome => outcome == "passed")} of them passed, ended the same");
    }

    // Outcomes by test: of one that fails the first line of why.
    private static Dictionary<string, string> Run(ExecPair pair, string name, string python, string modules)
    {
        string results = Path.Combine(pair.Pair.Folder, $"{name}.xml");
        string log = Path.Combine(pair.Pair.Folder, $"{name}.log");
        string work = Directory.CreateDirectory(Path.Combine(pair.Pair.Folder, $"{name}.work")).FullName;
        ProgramResult result = ExternalProgram.Run(
            "bash", ["-c", $"cd {work}; set -f; exec {python} -m test {Options} --tempdir {work} --junit-xml {results} {modules} < /dev/null > {log} 2>&1"], s_limit, environment: pair.Environment);
        Assert.IsFalse(result.TimedOut, $"Python's tests {name} hung: {Last(log)}");
        Assert.IsTrue(File.Exists(results), $"Python's tests {name} told no results; does libpython3.11-testsuite lack? {Last(log)}");
        Dictionary<string, string> outcomes = new(StringComparer.Ordinal);
        foreach (XElement test in XDocument.Load(results).Descendants("testcase"))
        {
            outcomes[(string)test.Attribute("name")!] = test.Element("error") is not null ? "error" : test.Element("failure") is not null ? "failed" : test.Element("skipped") is not null ? "skipped" : "passed";
        }

        return outcomes;
    }

    private static string Last(string log) => File.Exists(log) ? File.ReadAllText(log) is var all ? all[^Math.Min(2000, all.Length)..] : "" : "no log";
}
