using System.Text;

namespace Dpu.Ctl.Completion;

/// <summary>Writes a completion script for fish (complete(1) of fish). Pure.</summary>
internal static class FishCompletion
{
    public static string Script(CompletionNode root)
    {
        string valueOptions = string.Join(
            ' ', root.All().SelectMany(n => n.Options).Where(o => o.TakesValue).SelectMany(o => o.Names).Distinct());
        string paths = string.Join(
            ' ', root.All().Where(n => n.Path.Count > 0).Select(n => $"'{Join(n)}'"));
        var text = new StringBuilder();
        _ = text.Append($$"""
            # fish completion for dpuctl; made by 'dpuctl completion fish'.
            # Install as /usr/share/fish/vendor_completions.d/dpuctl.fish.
            function __dpuctl_at
                # Whether the words before the cursor lead to command $argv[1], with $argv[2] arguments after it.
                set -l path ''
                set -l arguments 0
                set -l skip 0
                for word in (commandline -opc)[2..-1]
                    if test $skip -eq 1
                        set skip 0
                    else if contains -- $word {{valueOptions}}
                        set skip 1
                    else if string match -q -- '-*' $word
                        continue
                    else if contains -- "$path/$word" {{paths}}
                        set path "$path/$word"
                        set arguments 0
                    else
                        set arguments (math $arguments + 1)
                    end
                end
                test "$path" = "$argv[1]"; or return 1
                test (count $argv) -lt 2; or test $arguments -eq $argv[2]
            end
            complete -c dpuctl -f

            """.ReplaceLineEndings("\n"));
        foreach (CompletionNode node in root.All())
        {
            string path = Join(node);
            foreach (CompletionNode child in node.Children)
            {
                _ = text.Append($"complete -c dpuctl -n \"__dpuctl_at '{path}' 0\" -a {child.Name} -d {Quote(child.Description)}\n");
            }

            foreach (CompletionOption option in node.Options)
            {
                string names = string.Concat(option.Names.Select(n =>
                    n.StartsWith("--", StringComparison.Ordinal) ? $" -l {n[2..]}" : n.Length == 2 && n[1] != '?' ? $" -s {n[1]}" : string.Empty));
                string value = !option.TakesValue ? string.Empty : option.TakesFile ? " -r -F" : " -x";
                _ = text.Append($"complete -c dpuctl -n \"__dpuctl_at '{path}'\"{names}{value} -d {Quote(option.Description)}\n");
            }

            for (int i = 0; i < node.Arguments.Count; i++)
            {
                CompletionArgument argument = node.Arguments[i];
                string? values = argument.Values.Count > 0 ? $"'{string.Join(' ', argument.Values)}'"
                    : argument.Dynamic is not null ? $"'(dpuctl {DynamicValues.Verb} {argument.Dynamic} --timeout 1s 2>/dev/null)'"
                    : argument.TakesFile ? "'(__fish_complete_directories)'"
                    : null;
                if (values is not null)
                {
                    _ = text.Append($"complete -c dpuctl -n \"__dpuctl_at '{path}' {i}\" -a {values}\n");
                }
            }
        }

        return text.ToString();
    }

    private static string Join(CompletionNode node) => string.Concat(node.Path.Select(p => "/" + p));

    private static string Quote(string text) =>
        "'" + text.Replace("\\", "\\\\", StringComparison.Ordinal).Replace("'", "\\'", StringComparison.Ordinal) + "'";
}
