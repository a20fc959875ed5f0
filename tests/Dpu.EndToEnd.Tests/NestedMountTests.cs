using System.Text.Json.Nodes;

namespace Dpu.EndToEnd.Tests;

/// <summary>Mounts below existing trees: in a folder of the DPU's own, inside of another mount, with other mounts inside.</summary>
[TestClass]
public sealed class NestedMountTests
{
    private const string Other = "other";

    [TestMethod]
    [TestCategory("root")]
    public void MountInATreeWithContent_HidesWhatIsThere_AndUmountShowsItAgain()
    {
        using var pair = new Pair();
        pair.StartAgent();
        Daemon runtime = pair.StartRuntime();
        File.WriteAllText(Path.Combine(pair.ExportRoot, "f"), "the host's");
        string target = Directory.CreateDirectory(Path.Combine(pair.MountRoot, "tree/in it")).FullName;
        File.WriteAllText(Path.Combine(target, "f"), "the DPU's");
        using var kept = new StreamReader(Path.Combine(target, "f"));
        LifecycleTests.WaitHostUp(runtime);

        runtime.Ctl("mount", "host1:data", target).EnsureSuccess();
        Assert.AreEqual("the host's", File.ReadAllText(Path.Combine(target, "f")));
        Assert.AreEqual("the DPU's", kept.ReadToEnd(), "what was open before");
        runtime.Ctl("umount", target).EnsureSuccess();
        Assert.AreEqual("the DPU's", File.ReadAllText(Path.Combine(target, "f")));
    }

    [TestMethod]
    [TestCategory("root")]
    public void MountInsideAnother_IsListed_AndKeepsTheOuterOneUntilBothGo()
    {
        using Pair pair = WithOther();
        string outer = pair.Up(), inner = Path.Combine(outer, "in");
        pair.Runtime.Ctl("mount", $"host1:{Other}", inner).EnsureSuccess();
        Assert.AreEqual("inner", File.ReadAllText(Path.Combine(inner, "f")));
        Assert.AreEqual("outer", File.ReadAllText(Path.Combine(outer, "f")));
        CollectionAssert.AreEquivalent(new[] { outer, inner }, Listed(pair.Runtime, "mounted"));

        ProgramResult refused = pair.Runtime.Ctl("umount", outer);
        Assert.AreEqual(5, refused.ExitCode, refused.Error);
        Assert.Contains($"{inner} is mounted below it", refused.Error);
        Assert.Contains("--recursive", refused.Error);
        Assert.AreEqual("outer", File.ReadAllText(Path.Combine(outer, "f")));

        pair.Runtime.Ctl("umount", "--recursive", outer).EnsureSuccess();
        Assert.IsFalse(MountTable.Targets().Any(target => target == outer || target == inner));
        Assert.IsEmpty(Listed(pair.Runtime));

        pair.Runtime.Ctl("mount", "host1:data", outer).EnsureSuccess();
        pair.Runtime.Ctl("mount", $"host1:{Other}", inner).EnsureSuccess();
        pair.Runtime.Ctl("umount", "--lazy", outer).EnsureSuccess();
        Assert.IsFalse(MountTable.Targets().Any(target => target == outer || target == inner));
        Assert.IsEmpty(Listed(pair.Runtime));
    }

    [TestMethod]
    [TestCategory("root")]
    public void UmountAround_AMountOfAnother_NamesItAndLeavesIt()
    {
        using Pair pair = WithOther();
        string outer = pair.Up(), inner = Path.Combine(outer, "in");
        Shell.Check($"mount -t tmpfs test-tmpfs {inner}", "/");
        try
        {
            ProgramResult refused = pair.Runtime.Ctl("umount", "--recursive", outer);
            Assert.AreEqual(5, refused.ExitCode, refused.Error);
            Assert.Contains($"{inner} is mounted below it", refused.Error);
            Assert.Contains(inner, MountTable.Targets());
        }
        finally
        {
            Shell.Check($"umount {inner}", "/");
        }

        pair.Runtime.Ctl("umount", outer).EnsureSuccess();
    }

    [TestMethod]
    [TestCategory("root")]
    public void MountAround_OneThatStands_IsRefusedBecauseItWouldHideIt()
    {
        using Pair pair = WithOther();
        string standing = pair.Up();
        string outer = Path.GetDirectoryName(standing)!;
        ProgramResult refused = pair.Runtime.Ctl("mount", $"host1:{Other}", outer);
        Assert.AreEqual(5, refused.ExitCode, refused.Error);
        Assert.Contains($"would hide what is mounted below it, {standing}", refused.Error);
        Assert.AreEqual("outer", File.ReadAllText(Path.Combine(standing, "f")));
    }

    [TestMethod]
    [TestCategory("root")]
    public void ConfiguredMounts_WhateverTheirOrder_AreMadeOuterFirst_AlsoAfterAKilledRuntime()
    {
        using Pair pair = WithOther();
        pair.StartAgent();
        JsonObject configuration = Nested(pair, out string outer, out string inner);
        Daemon first = pair.StartRuntime(configuration);
        WaitRead(inner, "inner");
        Assert.AreEqual("outer", File.ReadAllText(Path.Combine(outer, "f")));
        Assert.IsLessThan(MountTable.Targets().ToList().IndexOf(inner), MountTable.Targets().ToList().IndexOf(outer));

        // Both are dead then, and the inner one cannot even be reached.
        first.Kill();
        Daemon second = pair.StartRuntime(configuration);
        Eventually.True(() => Listed(second, "mounted").Length == 2, Pair.Limit, "both mounts");
        WaitRead(inner, "inner");
        Assert.AreEqual(2, MountTable.Targets().Count(target => target == outer || target == inner), "dead mounts are left");
        Assert.AreEqual(0, second.Stop());
        Assert.IsFalse(MountTable.Targets().Any(target => target == outer || target == inner));
    }

    [TestMethod]
    [TestCategory("root")]
    public void InnerMount_WhoseOuterOneCannotBeMade_WaitsAndSaysForWhat()
    {
        using Pair pair = WithOther();
        pair.StartAgent();
        JsonObject configuration = Nested(pair, out string outer, out string inner);
        configuration["mounts"]![1]!["export"] = "absent";
        Daemon runtime = pair.StartRuntime(configuration);
        Eventually.True(() => Listed(runtime, "failed").Length == 1, Pair.Limit, "the outer mount's failure");
        CollectionAssert.AreEqual(new[] { inner }, Listed(runtime, "waiting"));
        Assert.Contains($"it waits for the mount at {outer}", runtime.Ctl("mounts", "--json").Output);
        ProgramResult refused = runtime.Ctl("mount", "host1:data", Path.Combine(outer, "elsewhere"));
        Assert.AreEqual(5, refused.ExitCode, refused.Error);
        Assert.Contains("is to be mounted first", refused.Error);
    }

    [TestMethod]
    [TestCategory("root")]
    public void Reload_ThatTakesOrGivesTheOuterMount_MakesTheInnerOneAgain()
    {
        using Pair pair = WithOther();
        pair.StartAgent();
        JsonObject both = Nested(pair, out string outer, out string inner);
        Daemon runtime = pair.StartRuntime(both);
        WaitRead(inner, "inner");
        JsonObject one = both.DeepClone().AsObject();
        one["mounts"]!.AsArray().RemoveAt(1);

        Reload(pair, runtime, one);
        Eventually.True(() => Listed(runtime, "mounted") is [var left] && left == inner, Pair.Limit, "the inner mount alone");
        WaitRead(inner, "inner");
        Assert.DoesNotContain(outer, MountTable.Targets());

        Reload(pair, runtime, both);
        Eventually.True(() => Listed(runtime, "mounted").Length == 2, Pair.Limit, "both mounts");
        WaitRead(inner, "inner");
        Assert.AreEqual("outer", File.ReadAllText(Path.Combine(outer, "f")));
    }

    [TestMethod]
    [TestCategory("root")]
    public void HostThatHangs_DoesNotKeepTheRuntimeFromStopping()
    {
        using Pair pair = WithOther();
        pair.StartAgent();
        Daemon runtime = pair.StartRuntime(Nested(pair, out string outer, out string inner));
        WaitRead(inner, "inner");
        pair.Agent.Signal("STOP");
        try
        {
            // The inner mount point can be asked for at the outer mount only, which does not answer.
            Assert.AreEqual(0, runtime.Stop());
        }
        finally
        {
            pair.Agent.Signal("CONT");
        }

        Assert.IsFalse(MountTable.Targets().Any(target => target == outer || target == inner), runtime.Log);
    }

    private static Pair WithOther()
    {
        var pair = new Pair();
        string other = Directory.CreateDirectory(Path.Combine(pair.Folder, Other)).FullName;
        pair.AgentConfiguration["exports"]!.AsArray().Add(Pair.Export(Other, other));
        File.WriteAllText(Path.Combine(other, "f"), "inner");
        File.WriteAllText(Path.Combine(pair.ExportRoot, "f"), "outer");
        Directory.CreateDirectory(Path.Combine(pair.ExportRoot, "in"));
        return pair;
    }

    // The inner mount is named first.
    private static JsonObject Nested(Pair pair, out string outer, out string inner)
    {
        JsonObject configuration = pair.RuntimeConfiguration();
        JsonArray mounts = configuration["mounts"]!.AsArray();
        mounts.Add(pair.Mount(Other, "data/in"));
        mounts.Add(pair.Mount("data", "data"));
        inner = mounts[0]!["target"]!.GetValue<string>();
        outer = mounts[1]!["target"]!.GetValue<string>();
        return configuration;
    }

    private static void Reload(Pair pair, Daemon runtime, JsonObject configuration)
    {
        File.WriteAllText(Path.Combine(pair.Folder, "dpu1.json"), configuration.ToJsonString());
        runtime.Ctl("reload").EnsureSuccess();
    }

    private static string[] Listed(Daemon runtime, string? state = null) =>
        [.. JsonNode.Parse(runtime.Ctl("mounts", "--json").EnsureSuccess().Output)!["mounts"]!.AsArray()
            .Where(mount => state is null || mount!["state"]!.GetValue<string>() == state)
            .Select(mount => mount!["target"]!.GetValue<string>())];

    private static void WaitRead(string folder, string content) => Eventually.True(
        () =>
        {
            try
            {
                return File.ReadAllText(Path.Combine(folder, "f")) == content;
            }
            catch (IOException)
            {
                // Expected until the mount stands.
                return false;
            }
        },
        Pair.Limit,
        $"the mount at {folder}");
}
