using Dpu.Ctl.Completion;
using Dpu.TestSupport;

namespace Dpu.Ctl.Tests;

/// <summary>The scripts in the real shells. A stand-in for dpuctl gives the names that only a runtime knows.</summary>
[TestClass]
public sealed class CompletionTests
{
    private static readonly TimeSpan _limit = TimeSpan.FromSeconds(60);

    // What is typed, the last word being completed; what must and what must not be offered.
    private static readonly (string[] Words, string[] Offered, string[] NotOffered)[] _cases =
    [
        (["st"], ["status"], ["mount", "--json"]),
        ([""], ["status", "mount", "umount", "pki", "version"], ["__values", "list"]),
        (["--"], ["--json", "--socket", "--timeout"], ["--lanes"]),
        (["pki", ""], ["init", "issue", "rotate", "show", "revoke"], ["status"]),
        (["--json", "pki", "issue", ""], ["host", "dpu", "operator"], ["init"]),
        (["--socket", "/run/x", "host", ""], ["list", "show"], ["status"]),
        (["host", "show", "ho"], ["host1", "host2"], ["list"]),
        (["umount", "/m"], ["/mnt/a", "/mnt/b"], ["status"]),
        (["umount", "--l"], ["--lazy"], ["--lanes"]),
        (["mount", "--la"], ["--lanes"], ["--lazy"]),
        (["stats", "/m"], ["/mnt/a", "/mnt/b"], ["status"]),
        (["stats", "--w"], ["--watch"], ["--lanes"]),
        (["top", "--"], ["--batch", "--count", "--interval", "--json"], ["--watch"]),
        (["completion", ""], ["bash", "zsh", "fish"], ["status"]),
    ];

    [TestMethod]
    [TestCategory("interop")]
    public void Bash_Script_LoadsAndCompletes()
    {
        string bash = Requires.Tool("bash");
        using var folder = Prepare(BashCompletion.Script(ManualTests.Tree()), "dpuctl.bash");
        foreach ((string[] words, string[] offered, string[] notOffered) in _cases)
        {
            string line = string.Join(' ', words.Prepend("dpuctl").Select(Quote));
            string script = $"set -u; source {folder["dpuctl.bash"]}; COMP_WORDS=({line}); COMP_CWORD={words.Length}; _dpuctl; printf '%s\\n' \"${{COMPREPLY[@]}}\"";
            Judge(Run(bash, ["--norc", "-c", script], folder), words, offered, notOffered);
        }
    }

    [TestMethod]
    [TestCategory("interop")]
    public void Fish_Script_LoadsAndCompletes()
    {
        string fish = Requires.Tool("fish");
        using var folder = Prepare(FishCompletion.Script(ManualTests.Tree()), "dpuctl.fish");
        foreach ((string[] words, string[] offered, string[] notOffered) in _cases)
        {
            string script = $"source {folder["dpuctl.fish"]}; complete -C {Quote("dpuctl " + string.Join(' ', words))}";
            ProgramResult result = Run(fish, ["--no-config", "-c", script], folder);
            Judge(result with { Output = string.Join('\n', result.Output.Split('\n').Select(l => l.Split('\t')[0])) }, words, offered, notOffered);
        }
    }

    [TestMethod]
    [TestCategory("interop")]
    public void Zsh_Script_LoadsAndCompletes()
    {
        string zsh = Requires.Tool("zsh");
        using var folder = Prepare(ZshCompletion.Script(ManualTests.Tree()), "_dpuctl");
        // zsh completes only in its line editor: one runs on a pseudo terminal, and prints what it would offer.
        folder.WriteFile("drive.zsh", """
            zmodload zsh/zpty
            zpty z "TERM=dumb PS1= zsh -f -i"
            zpty -w z "PATH=$1:\$PATH; fpath=($1 \$fpath); autoload -Uz compinit; compinit -u -D"
            zpty -w z "compadd() { local -a __o __d; local w; if [[ \${@[1,-1]} == *-[ODA]* ]]; then builtin compadd \"\$@\"; return; fi; builtin compadd -O __o \"\$@\"; for w in \$__o; do print -r -- \"OFFER:\$w\"; done; builtin compadd \"\$@\" }"
            zpty -w z "zstyle ':completion:*' list-prompt ''; LISTMAX=10000; bindkey '^I' complete-word; print REA''DY"
            zpty -r -m z out '*READY*'
            zpty -n -w z "$2"$'\t'
            zpty -n -w z $'\C-u'"print DO''NE"$'\n'
            zpty -r -m z out '*DONE*'
            print -r -- "$out"
            zpty -d z
            """);
        foreach ((string[] words, string[] offered, string[] notOffered) in _cases)
        {
            string line = "dpuctl " + string.Join(' ', words);
            ProgramResult result = Run(zsh, ["-f", folder["drive.zsh"], folder.FullPath, line], folder);
            string[] offers = [.. result.Output.Split(['\n', '\r'])
                .Where(l => l.Contains("OFFER:", StringComparison.Ordinal))
                .Select(l => l[(l.LastIndexOf("OFFER:", StringComparison.Ordinal) + 6)..].Trim())];
            Judge(result with { Output = string.Join('\n', offers) }, words, offered, notOffered);
        }
    }

    [TestMethod]
    [TestCategory("interop")]
    public void Zsh_Script_HasNoSyntaxError()
    {
        using var folder = Prepare(ZshCompletion.Script(ManualTests.Tree()), "_dpuctl");
        ProgramResult result = Run(Requires.Tool("zsh"), ["-n", folder["_dpuctl"]], folder);
        Assert.AreEqual((0, string.Empty), (result.ExitCode, result.Error));
    }

    private static TemporaryDirectory Prepare(string script, string name)
    {
        var folder = new TemporaryDirectory();
        folder.WriteFile(name, script);
        string standIn = folder.WriteFile("dpuctl", """
            #!/bin/sh
            [ "$1" = __values ] || exit 9
            case $2 in
                hosts) printf 'host1\nhost2\n' ;;
                sources) printf 'host1:\nhost2:\n' ;;
                targets) printf '/mnt/a\n/mnt/b\n' ;;
            esac
            """);
        File.SetUnixFileMode(standIn, (UnixFileMode)0b111_101_101);
        return folder;
    }

    private static ProgramResult Run(string shell, string[] arguments, TemporaryDirectory folder) => ExternalProgram.Run(
        shell,
        arguments,
        _limit,
        directory: folder.FullPath,
        environment: new Dictionary<string, string?>
        {
            ["PATH"] = folder.FullPath + ":" + Environment.GetEnvironmentVariable("PATH"),
            ["HOME"] = folder.FullPath,
            ["XDG_DATA_HOME"] = folder.FullPath,
            ["XDG_CONFIG_HOME"] = folder.FullPath,
        });

    private static void Judge(ProgramResult result, string[] words, string[] offered, string[] notOffered)
    {
        string told = $"[{string.Join(' ', words)}] gave: {result.Output}\n{result.Error}";
        Assert.AreEqual(0, result.ExitCode, told);
        var got = result.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries).ToHashSet(StringComparer.Ordinal);
        CollectionAssert.IsSubsetOf(offered, got.ToArray(), told);
        Assert.IsFalse(notOffered.Any(got.Contains), told);
    }

    private static string Quote(string word) => "'" + word.Replace("'", "'\\''", StringComparison.Ordinal) + "'";
}
