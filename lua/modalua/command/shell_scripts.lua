-- command.shell_scripts: the scripts by which shells complete the words of modalua. They only ask `modalua completion words`, so that all
-- shells complete alike, and nothing in them is out of date after an update.
local scripts = {}

-- bash takes '=' and ':' for the ends of words: the words are put together again, and of a candidate only the part behind the last of these
-- is given back.
scripts.bash = [=[
# bash completion for modalua. It is written by `modalua completion bash`.
_modalua()
{
    local rest=${COMP_LINE:0:COMP_POINT} program=modalua current line i n=-1
    local -a given lines
    COMPREPLY=()
    for ((i = 0; i <= COMP_CWORD; i++)); do
        if [[ $i -eq 0 || $rest == [[:space:]]* ]]; then
            rest=${rest#"${rest%%[![:space:]]*}"}
            n=$((n + 1))
            given[n]=
        fi
        if ((i == COMP_CWORD)); then
            given[n]+=$rest
        else
            given[n]+=${COMP_WORDS[i]}
            rest=${rest#"${COMP_WORDS[i]}"}
        fi
    done
    for i in "${!given[@]}"; do
        given[i]=${given[i]//[\'\"\\]/}
    done
    current=${given[n]}
    type -P "${given[0]/#\~\//$HOME/}" >/dev/null && program=${given[0]/#\~\//$HOME/}
    mapfile -t lines < <(printf '%s\0' "${given[@]:1}" | "$program" completion words 2>/dev/null)
    if [[ ${lines[0]-} == $'\t' ]]; then
        compopt -o default 2>/dev/null
        return
    fi
    [[ $COMP_WORDBREAKS == *=* ]] && current=${current%"${current##*[=:]}"} || current=
    for line in "${lines[@]}"; do
        line=${line%%$'\t'*}
        [[ $line == *= ]] && compopt -o nospace 2>/dev/null
        COMPREPLY+=("${line#"$current"}")
    done
}
complete -F _modalua modalua
]=]

scripts.zsh = [=[
#compdef modalua
# zsh completion for modalua. It is written by `modalua completion zsh`.
_modalua()
{
    local line name
    local -a given lines names open shown shown_open
    given=("${(@Q)words[2,CURRENT-1]}" "${(Q)PREFIX}")
    lines=("${(@f)$(printf '%s\0' "${given[@]}" | "${(Q)words[1]}" completion words 2>/dev/null)}")
    if [[ ${lines[1]} == $'\t' ]]; then
        _files
        return
    fi
    for line in "${lines[@]}"; do
        [[ -n $line ]] || continue
        name=${line%%$'\t'*}
        if [[ $name == *= ]]; then
            open+=("$name")
            shown_open+=("$name")
        else
            names+=("$name")
            shown+=("$name${${line#*$'\t'}:+ -- ${line#*$'\t'}}")
        fi
    done
    compadd -l -d shown -a names
    compadd -S '' -d shown_open -a open
}
if [[ $funcstack[1] == _modalua ]]; then
    _modalua "$@"
else
    compdef _modalua modalua
fi
]=]

scripts.fish = [=[
# fish completion for modalua. It is written by `modalua completion fish`.
function __modalua_words
    set -l given (commandline -opc)
    set -l current (string replace -ra '[\'"\\\\]' '' -- (commandline -ct))
    set -l program $given[1]
    set -e given[1]
    printf '%s\0' $given "$current" | $program completion words 2>/dev/null
end

function __modalua_completes_files
    set -l lines (__modalua_words)
    test (count $lines) -eq 1; and test "$lines[1]" = \t
end

complete -c modalua -n 'not __modalua_completes_files' -f -a '(__modalua_words)'
complete -c modalua -n __modalua_completes_files -F
]=]

return scripts
