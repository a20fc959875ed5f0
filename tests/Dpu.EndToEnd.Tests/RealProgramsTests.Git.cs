namespace Dpu.EndToEnd.Tests;

// git(1): many small files, renames into place, mapped packs, an index that believes times and inode numbers.
public sealed partial class RealProgramsTests
{
    [TestMethod]
    [TestCategory("interop")]
    [DataRow(ThreeMounts.None)]
    [DataRow(ThreeMounts.Coherent)]
    public void Git_CloneMergeCheckoutAndCollect_FsckFindsNothingOnEitherSide(string cache)
    {
        (string there, string onHost) = s_mounts.Place(cache, "git");
        Git("git init -q origin && cp -a /usr/include/linux/netfilter* origin && git -C origin add -A && git -C origin commit -qm one", there);
        Git(
            """
            git checkout -qb side && sed -i '1i /* side */' netfilter/*.h && git commit -qam side
            git checkout -q main && git mv netfilter moved && git commit -qm moved
            git merge -q -m merged side && git tag -a -m v1 v1
            """,
            $"{there}/origin");
        Git("git clone -q origin clone && cd clone && git checkout -q v1~1 && git checkout -q main && git worktree add -q ../tree origin/side && git gc -q --prune=now", there);
        foreach (string repository in (string[])["origin", "clone", "tree"])
        {
            foreach (string side in (string[])[there, onHost])
            {
                // A worktree's paths are absolute: the host's are others.
                if (repository != "tree" || side == there)
                {
                    Assert.AreEqual("", Git("git fsck --strict --full 2>&1 && git status --porcelain", $"{side}/{repository}"), $"{repository} in {side}");
                }
            }
        }

        // The host works on, and the DPU takes it from there.
        Git("git gc -q --prune=now && echo host >> moved/xt_mark.h && git commit -qam host", $"{onHost}/origin");
        Git("git pull -q", $"{there}/clone");
        Assert.AreEqual("host", Git("tail -n 1 moved/xt_mark.h && git fsck --strict --full 2>&1", $"{onHost}/clone"));
        Assert.AreEqual("5 5", Git("echo $(git log --oneline | wc -l) $(git -C ../origin log --oneline | wc -l)", $"{there}/clone"));
        Git($"git clone -q --no-hardlinks {onHost}/origin local && diff -r --exclude=.git local {there}/clone && rm -r local", s_mounts.Folder);
    }

    private static string Git(string program, string where)
    {
        const string settings =
            "export GIT_CONFIG_COUNT=4 GIT_CONFIG_KEY_0=user.name GIT_CONFIG_VALUE_0=t GIT_CONFIG_KEY_1=user.email GIT_CONFIG_VALUE_1=t@example.org "
            + "GIT_CONFIG_KEY_2=safe.directory GIT_CONFIG_VALUE_2='*' GIT_CONFIG_KEY_3=init.defaultBranch GIT_CONFIG_VALUE_3=main GIT_CONFIG_GLOBAL=/dev/null\n";
        return Sh(settings + program, where).TrimEnd('\n');
    }
}
