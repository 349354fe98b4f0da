#compdef windlass
# Completion of windlass for zsh. In ~/.zshrc, after compinit: eval "$(windlass completion zsh)"
_windlass() {
    local -a offers
    local line value
    for line in "${(@f)$(_WINDLASS_COMPLETE=complete_fish _TYPER_COMPLETE_FISH_ACTION=get-args \
        _TYPER_COMPLETE_ARGS="${(j: :)words[1,CURRENT]}" windlass 2>/dev/null)}"; do
        [[ -n $line ]] || continue
        value=${line%%$'\t'*}
        offers+=("${value//:/\\:}:${line#*$'\t'}")
    done
    if (( $#offers )); then _describe -V 'windlass' offers; else _files; fi
}
compdef _windlass windlass
