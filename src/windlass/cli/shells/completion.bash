# Completion of windlass for bash. In ~/.bashrc: eval "$(windlass completion bash)"
_windlass() {
    local IFS=$'\n' line="${COMP_LINE:0:COMP_POINT}"
    COMPREPLY=($(_WINDLASS_COMPLETE=complete_fish _TYPER_COMPLETE_FISH_ACTION=get-args \
        _TYPER_COMPLETE_ARGS="$line" windlass 2>/dev/null | cut -f1))
    # bash parts words at some signs that models' names have, and puts an offer in place of the last part alone.
    local word="${line##* }" breaks="${COMP_WORDBREAKS//[^@:=]/}"
    if [[ -n $breaks && $word == *[$breaks]* ]]; then
        COMPREPLY=("${COMPREPLY[@]#"${word%"${word##*[$breaks]}"}"}")
    fi
}
complete -o default -F _windlass windlass
