using System.Globalization;
using Dpu.Benchmarks.Harness;
using Dpu.TestSupport;

namespace Dpu.Benchmarks.Exec;

/// <summary>What <c>bench exec</c> has run. Times are the shell's own, between its first fork and its last wait.</summary>
internal static class ExecWorks
{
    public const string Start = "start and end of /bin/true";
    public const string Above = "the same, above a local one";
    public const string Lone = "one after a pause, above a local one";
    public const string Output = "1 GiB of output";
    public const string Parallel = "200 starts at once";
    public const string NearMemory = "memory of a running process where it is started";
    public const string FarMemory = "memory of a running process where it runs";
    public const string OnStandIn = "getpriority of a stand-in in a view";
    public const string OnOther = "getpriority of another process";
    public const string Passing = "getppid";

    private const int Starts = 20;
    private const int Pauses = 10;
    private const int Many = 200;
    private const int Running = 50;
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(20);

    // Nobody else's.
    private static readonly string Sleep = string.Create(CultureInfo.InvariantCulture, $"/bin/sleep 10{Environment.ProcessId}");

    // Its own loop's time is in it, about a tenth of a microsecond. The child is a stub where there is a view, and has begun when it has answered.
    private const string Calls =
        """
        import os, statistics, subprocess, sys, time
        what = sys.argv[1]
        child = subprocess.Popen(["/usr/bin/cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        child.stdin.write(b"begun\n"); child.stdin.flush(); child.stdout.readline()
        number, count = (child.pid, 300) if what == "stand-in" else (1, 3000)
        def batch():
            since = time.perf_counter()
            if what == "pass":
                for i in range(30000): os.getppid()
                return (time.perf_counter() - since) / 30000
            for i in range(count): os.getpriority(os.PRIO_PROCESS, number)
            return (time.perf_counter() - since) / count
        batch()
        print(1e6 * statistics.median(batch() for i in range(7)))
        child.stdin.close(); child.wait()
        """;

    public static IReadOnlyList<Work<ExecTarget>> All { get; } =
    [
        new(Start, "ms", Better.Lower, target => StartsOf(target, target.Prefix)),
        new(Above, "ms", Better.Lower, target =>
        {
            // In turn, so that other load hits both.
            double local = StartsOf(target, "");
            double ours = StartsOf(target, target.Prefix);
            return ours - ((local + StartsOf(target, "")) / 2);
        }),
        new(Lone, "ms", Better.Lower, target => LoneStartOf(target, target.Prefix) - LoneStartOf(target, "")),
        new(Output, "MB/s", Better.Higher, target => (1 << 30) / 1e3 / Timed(target, $"{target.Prefix} /usr/bin/head -c {1 << 30} /dev/zero </dev/null | cat > {target.Folder}/null", null)),
        new(Parallel, "ms", Better.Lower, target => Timed(
            target, $"for i in $(seq {Many}); do {target.Prefix} /bin/echo $i </dev/null & done > {target.Folder}/lines 2> {target.Folder}/errors; wait",
            $"sort -u {target.Folder}/lines | wc -l; head -n 3 {target.Folder}/errors")),
        new(NearMemory, "KiB", Better.Lower, target => MemoryOf(target, near: true)),
        new(FarMemory, "KiB", Better.Lower, target => MemoryOf(target, near: false)),
        new(OnStandIn, "µs", Better.Lower, target => CallOf(target, "stand-in")),
        new(OnOther, "µs", Better.Lower, target => CallOf(target, "other")),
        new(Passing, "µs", Better.Lower, target => CallOf(target, "pass")),
    ];

    private static double CallOf(ExecTarget target, string what) =>
        double.Parse(target.Shell($"{target.ViewPrefix} /usr/bin/python3 -c '{Calls}' {what}"), CultureInfo.InvariantCulture);

    private static double StartsOf(ExecTarget target, string prefix) => Timed(target, $"for i in $(seq {Starts}); do {prefix} /bin/true </dev/null; done", null) / Starts;

    // What others wait for, the kernel among them, is over after 0.2 s: a start costs more than in a row of them.
    private static double LoneStartOf(ExecTarget target, string prefix)
    {
        string said = target.Shell($"sum=0; for i in $(seq {Pauses}); do sleep 0.2; begun=$EPOCHREALTIME; {prefix} /bin/true </dev/null; ended=$EPOCHREALTIME; sum=$((sum + ${{ended/./}} - ${{begun/./}})); done; echo $sum");
        return double.Parse(said, CultureInfo.InvariantCulture) / 1e3 / Pauses;
    }

    // In milliseconds.
    private static double Timed(ExecTarget target, string program, string? check)
    {
        string[] said = target.Shell($"ln -sf /dev/null {target.Folder}/null; begun=$EPOCHREALTIME; {program}; echo $begun $EPOCHREALTIME; {check}").Split((char[])[' ', '\n'], StringSplitOptions.RemoveEmptyEntries);
        if (check is not null && said[2] != Many.ToString(CultureInfo.InvariantCulture))
        {
            throw new ProgramException($"{said[2]} of {Many} programs have run: {string.Join(' ', said[3..])}");
        }

        return 1000 * (double.Parse(said[1], CultureInfo.InvariantCulture) - double.Parse(said[0], CultureInfo.InvariantCulture));
    }

    private static double MemoryOf(ExecTarget target, bool near)
    {
        IEnumerable<int> Between() => near ? target.Near : target.Far;
        double before = Between().Sum(ProportionalMemory.KiB);
        using RunningProgram shell = target.Begin($"for i in $(seq {Running}); do {target.Prefix} {Sleep} </dev/null & done; jobs -p > {target.Folder}/pids; wait");
        int[] stubs = [];
        _ = Eventually.Within(
            () => File.Exists($"{target.Folder}/pids") && (stubs = [.. File.ReadLines($"{target.Folder}/pids").Select(line => int.Parse(line, CultureInfo.InvariantCulture))]).Length == Running
                && ExternalProgram.Run("pgrep", ["-c", "-xf", Sleep], Limit).Output.Trim() is { } count && int.Parse(count, CultureInfo.InvariantCulture) >= Running,
            Limit);
        double after = Between().Sum(ProportionalMemory.KiB);
        double own = near ? stubs.Sum(ProportionalMemory.KiB) : 0;

        // What ssh has started goes on without it.
        _ = target.Shell($"kill {string.Join(' ', stubs)}; rm {target.Folder}/pids; pkill -xf '{Sleep}'; while pgrep -xf '{Sleep}' > /dev/null; do sleep 0.05; done");
        return (own + Math.Max(0, after - before)) / Running;
    }
}
