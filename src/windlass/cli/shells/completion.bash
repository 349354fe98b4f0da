# Completion of windlass for bash. In ~/.bashrc: eval "$(windlass completion bash)"
_windlass() {
    local line="${COMP_LINE:0:COMP_POINT}" offer before=""
    # bash parts words at some signs that models' names have, and puts an offer in place of the last part alone. At an @
    # that sign belongs to the part, at the others it does not. Within quotes nothing is parted.
    local word="${line##* }" breaks="${COMP_WORDBREAKS//[^@:=]/}"
    if [[ -n $breaks && $word == *[$breaks]* && $word != [\"\']* ]]; then
        before="${word%"${word##*[$breaks]}"}"
        before="${before%@}"
    fi
    COMPREPLY=()
    # Line by line and quoted: a folder may be called anything, and what bash is handed it puts on the line as it is.
    while IFS= read -r offer; do
        offer="${offer%%$'\t'*}"
        if [[ -n $offer ]]; then COMPREPLY+=("$(printf %q "${offer#"$before"}")"); fi
    done < <(_WINDLASS_COMPLETE=complete_fish _TYPER_COMPLETE_FISH_ACTION=get-args \
        _TYPER_COMPLETE_ARGS="$line" windlass 2>/dev/null)
}
complete -o default -F _windlass windlass
