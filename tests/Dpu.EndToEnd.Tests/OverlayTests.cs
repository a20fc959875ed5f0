using System.Globalization;
using System.Text.Json.Nodes;

namespace Dpu.EndToEnd.Tests;

/// <summary>
/// overlayfs whose layers lie on mounts: the same program (<c>Overlay/overlay.sh</c>) makes and uses an overlay of local
/// folders and one of folders of a mount; what it saw and what the upper layer holds must be equal.
/// </summary>
[TestClass]
public sealed class OverlayTests
{
    private static readonly string[] s_caches = ["none", "coherent"];
    private static readonly Dictionary<string, string> s_local = [];
    private static Pair s_pair = null!;
    private static int s_number;

    [ClassInitialize]
    public static void Start(TestContext _)
    {
        s_pair = new Pair();
        s_pair.AgentConfiguration["exports"] = new JsonArray(
            Pair.Export("data", s_pair.ExportRoot),
            Pair.Export("readonly", Directory.CreateDirectory(Path.Combine(s_pair.Folder, "readonly")).FullName, access: "read-only"));
        s_pair.StartAgent();
        JsonObject configuration = s_pair.RuntimeConfiguration();
        foreach (string cache in s_caches)
        {
            JsonObject mount = s_pair.Mount("data", cache);
            mount["cache"] = cache;
            configuration["mounts"]!.AsArray().Add(mount);
        }

        configuration["mounts"]!.AsArray().Add(s_pair.Mount("readonly", "readonly"));
        s_pair.StartRuntime(configuration);
        Array.ForEach([.. s_caches, "readonly"], cache => Pair.WaitMounted(On(cache)));
    }

    [ClassCleanup]
    public static void Stop() => s_pair.Dispose();

    [TestMethod]
    [TestCategory("root")]
    [DataRow("none", "")]
    [DataRow("none", ",redirect_dir=on,metacopy=on")]
    [DataRow("none", ",userxattr")]
    [DataRow("none", ",volatile")]
    [DataRow("coherent", "")]
    [DataRow("coherent", ",redirect_dir=on,metacopy=on")]
    public void AllLayersOnOneMount_SeenAndWrittenAsOnALocalDirectory(string cache, string options)
    {
        string there = Folder(On(cache));
        long before = KernelLog.End();
        string seen = RunProgram($"{there}/l", $"{there}/u", $"{there}/w", options);
        AssertSame(Local(options), seen);
        AssertNothingIsMissing(before);

        // What the upper layer is on the host: a whiteout is one there, too, though the export allows no device nodes.
        string host = there.Replace(On(cache), s_pair.ExportRoot, StringComparison.Ordinal);
        Assert.AreEqual("character special file 0:0", Shell.Check("stat -c '%F %t:%T' hard", $"{host}/u"));
        Assert.AreEqual("y", Shell.Check($"getfattr --only-values -n {(options.Contains("userxattr", StringComparison.Ordinal) ? "user" : "trusted")}.overlay.opaque opaque", $"{host}/u"));
    }

    [TestMethod]
    [TestCategory("root")]
    public void LowerOnOneMountAndUpperOnAnother_OrOnALocalDirectory_AsOnALocalDirectory()
    {
        string lower = Folder(On("coherent")), upper = Folder(On("none"));
        AssertSame(Local(""), RunProgram($"{lower}/l", $"{upper}/u", $"{upper}/w", ""));

        using var local = new TemporaryDirectory();
        Folder(local.FullPath, "");
        AssertSame(Local(""), RunProgram($"{Folder(On("none"))}/l", local["u"], local["w"], ""));
        using var other = new TemporaryDirectory();
        Folder(other.FullPath, "");
        upper = Folder(On("none"));
        AssertSame(Local(""), RunProgram(other["l"], $"{upper}/u", $"{upper}/w", ""));
    }

    [TestMethod]
    [TestCategory("root")]
    public void LowerLayersOnly_OfAReadOnlyExport_AreMergedAndCannotBeWritten()
    {
        string host = Folder(Path.Combine(s_pair.Folder, "readonly")), name = Path.GetFileName(host), merged = Merged();
        Shell.Check("mkdir l/d u/d w/d && echo first > l/f && echo second > u/f && echo only > u/d/g && echo third > w/d/h && mknod l/gone c 0 0 && echo x > w/gone", host);
        string layers = string.Join(':', new[] { "l", "u", "w" }.Select(layer => $"{On("readonly")}/{name}/{layer}"));
        Shell.Check($"mount -t overlay test-overlay -o lowerdir={layers} {merged}", "/");
        try
        {
            Assert.AreEqual("first\nonly\nthird\nd f", Shell.Check("cat f d/g d/h; echo $(ls)", merged));
            Assert.Contains("Read-only file system", Shell.Run("echo no > f", merged).Error);
        }
        finally
        {
            Shell.Check($"umount {merged}", "/");
        }
    }

    // What containerd's overlay plugin does when it starts (checkSupportsDType and supports multiple lowerdir), and what its
    // snapshots are mounted with.
    [TestMethod]
    [TestCategory("root")]
    [DataRow("none")]
    [DataRow("coherent")]
    public void ContainerdsOwnTests_OnAMount_Pass(string cache)
    {
        string there = Folder(On(cache)), merged = Merged();
        Shell.Check("mkdir lower1 lower2 && echo 1 > lower1/f && echo 2 > lower2/f && mkdir -p 1/fs 2/fs 3/fs 3/work && echo base > 1/fs/base && echo over > 2/fs/base", there);
        foreach ((string options, string check) in new[]
        {
            ($"lowerdir={there}/lower2:{there}/lower1,upperdir={there}/u,workdir={there}/w", "cat f"),
            ($"index=off,userxattr,workdir={there}/3/work,upperdir={there}/3/fs,lowerdir={there}/2/fs:{there}/1/fs", "cat base && rm base && ! test -e base && echo back > base"),
            ($"index=off,volatile,workdir={there}/w,upperdir={there}/u,lowerdir={there}/2/fs:{there}/1/fs", "cat base && mv base moved && cp -a moved base"),
        })
        {
            Shell.Check($"mount -t overlay overlay -o {options} {merged}", "/");
            try
            {
                Shell.Check(check, merged);
            }
            finally
            {
                Shell.Check($"umount {merged}", "/");
            }
        }

        // d_type, without which it refuses the file system.
        Assert.AreEqual("d", Shell.Check("python3 -c \"import os; print('d' if all(e.is_dir(follow_symlinks=False) == os.path.isdir(e.path) for e in os.scandir('.')) else '?')\"", there));
    }

    [TestMethod]
    [TestCategory("root")]
    public void OverlayWithIndex_MountedAgainByANewRuntime_IsWhatItWas()
    {
        using var pair = new Pair();
        string mount = pair.Up();
        string there = Folder(mount), merged = Merged();
        Shell.Check("echo 1 > f && ln f g", $"{there}/l");
        string command = $"mount -t overlay test-overlay -o lowerdir={there}/l,upperdir={there}/u,workdir={there}/w,index=on,xino=auto {merged}";
        Shell.Check(command, "/");
        Shell.Check($"echo 2 >> {merged}/f; umount {merged}", "/");

        pair.Runtime.Stop();
        JsonObject configuration = pair.RuntimeConfiguration();
        configuration["mounts"]!.AsArray().Add(pair.Mount("data", "data"));
        pair.StartRuntime(configuration);
        Pair.WaitMounted(mount);

        // Node ids end with a mount: were they told as file handles, overlayfs would find its layers changed (ESTALE).
        Shell.Check(command, "/");
        Assert.AreEqual("1\n2", Shell.Check($"cat {merged}/f; umount {merged}", "/"));
    }

    [TestMethod]
    [TestCategory("root")]
    public void UpperLayer_WhereRootIsSquashed_IsRefusedWithAReason()
    {
        using var pair = new Pair();
        pair.AgentConfiguration["exports"] = new JsonArray(Pair.Export("data", pair.ExportRoot, squash: "root"));
        string there = Folder(pair.ExportRoot), merged = Merged();
        string mount = pair.Up();
        string seen = Path.Combine(mount, Path.GetFileName(there));
        ProgramResult refused = Shell.Run($"mount -t overlay test-overlay -o lowerdir={seen}/l,upperdir={seen}/u,workdir={seen}/w {merged} && touch {merged}/f", "/");
        if (MountTable.Targets().Contains(merged))
        {
            // The kernel takes such a layer read-only.
            Shell.Check($"umount {merged}", "/");
        }

        Assert.AreNotEqual(0, refused.ExitCode, "an overlay written by nobody");
    }

    private static string On(string mount) => Path.Combine(s_pair.MountRoot, mount);

    private static string Merged() => Directory.CreateDirectory(Path.Combine(s_pair.Folder, "merged")).FullName;

    /// <summary>A new folder with the folders of layers in it.</summary>
    private static string Folder(string where, string? name = null)
    {
        string folder = Path.Combine(where, name ?? string.Create(CultureInfo.InvariantCulture, $"overlay{Interlocked.Increment(ref s_number)}"));
        Shell.Check($"mkdir -p {folder}/l {folder}/u {folder}/w && chmod 755 {folder}", "/");
        return folder;
    }

    private static string Local(string options)
    {
        if (!s_local.TryGetValue(options, out string? seen))
        {
            using var local = new TemporaryDirectory();
            Folder(local.FullPath, "");
            s_local.Add(options, seen = RunProgram(local["l"], local["u"], local["w"], options));
        }

        return seen;
    }

    private static string RunProgram(string lower, string upper, string work, string options)
    {
        ProgramResult result = ExternalProgram.Run(
            "bash", [Repository.PathOf("tests/Dpu.EndToEnd.Tests/Overlay/overlay.sh"), lower, upper, work, Merged(), options], TimeSpan.FromMinutes(2));
        Assert.AreEqual(0, result.ExitCode, $"{result.Error}\n{result.Output}");
        return result.Output;
    }

    private static void AssertSame(string expected, string actual)
    {
        string[] first = expected.Split('\n'), second = actual.Split('\n');
        IEnumerable<string> differences = Enumerable.Range(0, Math.Max(first.Length, second.Length))
            .Where(i => first.ElementAtOrDefault(i) != second.ElementAtOrDefault(i))
            .Select(i => $"line {i + 1}\n  local: {first.ElementAtOrDefault(i)}\n  mount: {second.ElementAtOrDefault(i)}");
        Assert.IsTrue(expected == actual, $"the overlay differs:\n{string.Join('\n', differences.Take(20))}");
    }

    private static void AssertNothingIsMissing(long before)
    {
        string[] said = [.. KernelLog.Since(before).Where(line => line.Contains("overlayfs:", StringComparison.Ordinal)
            && (line.Contains("missing required", StringComparison.Ordinal) || line.Contains("does not support", StringComparison.Ordinal) || line.Contains("failed", StringComparison.Ordinal)))];
        Assert.IsEmpty(said, string.Join('\n', said));
    }
}
