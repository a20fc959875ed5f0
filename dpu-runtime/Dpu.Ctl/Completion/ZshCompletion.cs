using System.Text;

namespace Dpu.Ctl.Completion;

/// <summary>Writes a completion script for zsh (zshcompsys(1), <c>_arguments</c>). Pure.</summary>
internal static class ZshCompletion
{
    public static string Script(CompletionNode root)
    {
        var text = new StringBuilder();
        _ = text.Append($$"""
            #compdef dpuctl
            # zsh completion for dpuctl; made by 'dpuctl completion zsh'.
            # Install as _dpuctl in a directory of $fpath, or: source <(dpuctl completion zsh)
            _dpuctl_values() {
                local -a values
                values=(${(f)"$(dpuctl {{DynamicValues.Verb}} $1 --timeout 1s 2>/dev/null)"})
                if [[ $1 == sources ]]; then compadd -S '' -a values; else compadd -a values; fi
            }

            """.ReplaceLineEndings("\n"));
        foreach (CompletionNode node in root.All())
        {
            Function(text, node);
        }

        _ = text.Append("""
            if [[ ${funcstack[1]} == _dpuctl ]]; then
                _dpuctl "$@"
            elif (( $+functions[compdef] )); then
                compdef _dpuctl dpuctl
            fi

            """.ReplaceLineEndings("\n"));
        return text.ToString();
    }

    private static void Function(StringBuilder text, CompletionNode node)
    {
        string name = "_dpuctl" + string.Concat(node.Path.Select(p => "_" + p));
        _ = text.Append($"{name}() {{\n    local context curcontext=\"$curcontext\" state line ret=1\n    local -a commands\n    typeset -A opt_args\n    _arguments -C \\\n");
        foreach (CompletionOption option in node.Options)
        {
            string value = !option.TakesValue ? string.Empty : option.TakesFile ? ":file:_files" : ":value: ";
            foreach (string spelling in option.Names)
            {
                _ = text.Append($"        '{spelling}[{Quote(option.Description)}]{value}' \\\n");
            }
        }

        if (node.Children.Count == 0)
        {
            for (int i = 0; i < node.Arguments.Count; i++)
            {
                CompletionArgument argument = node.Arguments[i];
                string action = argument.Values.Count > 0 ? $"({string.Join(' ', argument.Values)})"
                    // The blank keeps _arguments from putting options of compadd before the word.
                    : argument.Dynamic is not null ? $" _dpuctl_values {argument.Dynamic}"
                    : argument.TakesFile ? "_files -/"
                    : " ";
                _ = text.Append($"        '{i + 1}:{Quote(argument.Name)}:{action}' \\\n");
            }

            _ = text.Append("        && ret=0\n    return ret\n}\n");
            return;
        }

        _ = text.Append("        '1: :->command' '*:: :->rest' && ret=0\n    case $state in\n        command)\n            commands=(\n");
        foreach (CompletionNode child in node.Children)
        {
            _ = text.Append($"                '{child.Name}:{Quote(child.Description)}'\n");
        }

        _ = text.Append("            )\n            _describe -t commands command commands && ret=0 ;;\n        rest)\n            case $words[1] in\n");
        foreach (CompletionNode child in node.Children)
        {
            _ = text.Append($"                {child.Name}) {name}_{child.Name} && ret=0 ;;\n");
        }

        _ = text.Append("            esac ;;\n    esac\n    return ret\n}\n");
    }

    // Inside single quotes of a specification: the quote itself, brackets and colons have a meaning.
    private static string Quote(string text) => text
        .Replace("\\", "\\\\", StringComparison.Ordinal)
        .Replace("'", "'\\''", StringComparison.Ordinal)
        .Replace("[", "\\[", StringComparison.Ordinal)
        .Replace("]", "\\]", StringComparison.Ordinal)
        .Replace(":", "\\:", StringComparison.Ordinal);
}
