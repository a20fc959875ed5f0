using System.Text;

namespace Dpu.Ctl.Completion;

/// <summary>Writes a completion script for bash. Pure.</summary>
internal static class BashCompletion
{
    public static string Script(CompletionNode root)
    {
        var text = new StringBuilder();
        _ = text.Append("""
            # bash completion for dpuctl; made by 'dpuctl completion bash'.
            # Install as /usr/share/bash-completion/completions/dpuctl.
            _dpuctl() {
                local cur=${COMP_WORDS[COMP_CWORD]} path='' words='' dynamic='' files='' word i arguments=0 skip=''
                COMPREPLY=()
                # bash splits words at ':'; what counts for us are whole ones, up to the cursor.
                for ((i = 1; i < COMP_CWORD; i++)); do
                    word=${COMP_WORDS[i]}
                    if [[ -n $skip ]]; then
                        # The value of an option, and bash's '=' before it.
                        [[ $word == = ]] || skip=''
                        continue
                    fi
                    case $word in
                        VALUE_OPTIONS) skip=1 ;;
                        -*) ;;
                        *)
                            case "$path/$word" in
                                PATHS) path=$path/$word; arguments=0 ;;
                                *) [[ $word == : || ${COMP_WORDS[i - 1]} == : ]] || arguments=$((arguments + 1)) ;;
                            esac ;;
                    esac
                done
                if [[ -n $skip ]]; then
                    [[ $cur == = ]] && cur=''
                    mapfile -t COMPREPLY < <(compgen -f -- "$cur")
                    compopt -o filenames 2>/dev/null
                    return
                fi
                case $path in

            """.ReplaceLineEndings("\n"));
        _ = text.Replace("VALUE_OPTIONS", string.Join('|', root.All().SelectMany(n => n.Options).Where(o => o.TakesValue).SelectMany(o => o.Names).Distinct()));
        _ = text.Replace("PATHS", string.Join('|', root.All().Where(n => n.Path.Count > 0).Select(n => $"'{Join(n)}'")));
        foreach (CompletionNode node in root.All())
        {
            string options = string.Join(' ', node.Options.SelectMany(o => o.Names));
            string children = string.Join(' ', node.Children.Select(c => c.Name));
            _ = text.Append($"        '{Join(node)}')\n            if [[ $cur == -* ]]; then words='{options}'; else words='{children}'; fi\n");
            for (int i = 0; i < node.Arguments.Count; i++)
            {
                CompletionArgument argument = node.Arguments[i];
                string set = argument.Values.Count > 0 ? $"words='{string.Join(' ', argument.Values)}'"
                    : argument.Dynamic is not null ? $"dynamic={argument.Dynamic}"
                    : argument.TakesFile ? "files=1"
                    : ":";
                _ = text.Append($"            if [[ $cur != -* && $arguments -eq {i} ]]; then {set}; fi\n");
            }

            _ = text.Append("            ;;\n");
        }

        _ = text.Append($$"""
                esac
                if [[ -n $dynamic ]]; then
                    words=$(dpuctl {{DynamicValues.Verb}} "$dynamic" --timeout 1s 2>/dev/null)
                fi
                if [[ -n $files ]]; then
                    mapfile -t COMPREPLY < <(compgen -d -- "$cur")
                    compopt -o filenames 2>/dev/null
                else
                    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
                    [[ $dynamic == sources ]] && compopt -o nospace 2>/dev/null
                fi
                return 0
            }
            complete -F _dpuctl dpuctl

            """.ReplaceLineEndings("\n"));
        return text.ToString();
    }

    private static string Join(CompletionNode node) => string.Concat(node.Path.Select(p => "/" + p));
}
