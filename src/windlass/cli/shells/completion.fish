# Completion of windlass for fish. In ~/.config/fish/config.fish: windlass completion fish | source
function __windlass_offers
    set -l line (commandline -cp | string collect)
    set -l offers (env _WINDLASS_COMPLETE=complete_fish _TYPER_COMPLETE_FISH_ACTION=get-args \
        _TYPER_COMPLETE_ARGS="$line" windlass 2>/dev/null)
    if test -n "$offers" # where there is none Typer answers with an empty line
        printf '%s\n' $offers
    else
        __fish_complete_path (commandline -ct)
    end
end
complete -c windlass -f -a '(__windlass_offers)'
