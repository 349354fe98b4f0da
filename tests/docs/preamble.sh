# What a page's commands meet; tests/docs/world.py has the variables. Sourced by bash before the first block.
set -e

# A command that does not end by itself has begun when it has said a line. It is ended with the page.
stays() {
    local pipe line
    pipe="$WORK/pipe.$((++PIPES))"
    mkfifo "$pipe"
    (exec "$@" >"$pipe" 2>>"$WORK/log") &
    echo $! >>"$WORK/pids"
    exec {PIPE}<"$pipe" # kept open: who has nobody to tell would end
    IFS= read -r line <&"$PIPE" || { cat "$WORK/log"; return 1; }
    printf '%s\n' "$line"
}

end_all() {
    [ ! -e "$WORK/pids" ] || xargs kill -KILL <"$WORK/pids" 2>/dev/null || true
    rm -f "$WORK/pids"
    wait 2>/dev/null # bash would say who was killed, in the midst of what the page shows
}
trap end_all EXIT

windlass() {
    case "$1 $*" in
    serve*) end_all && stays "$BIN/windlass" "$@" ;; # a page that starts it anew has ended it before
    hub* | *\ --watch*) stays "$BIN/windlass" "$@" ;;
    *) "$BIN/windlass" "$@" ;;
    esac
}

curl() {
    case " $* " in
    *' -N '*) stays "$CURL" -sS "$@" ;;
    *) "$CURL" --fail-with-body -sS "$@" ;;
    esac
}

# What another program would be handed must be there.
takes_model() {
    while [ $# -gt 0 ]; do
        case "$1" in -m | --model) [ -e "$2" ] || { echo "no model: $2"; return 1; } ;; esac
        shift
    done
}

not_run() { printf '%s\n' "$*" >>"$WORK/not-run"; }

# A job that is under way and stays so: the one that pages call job_493c7c9ded.
job() {
    [ -e "$WORK/job" ] || "$CURL" -s "$SERVER/api/v1/models/download" -H 'Content-Type: application/json' \
        -d '{"model": "slow/Slow-GGUF"}' | grep -o 'job_[0-9a-f]\{10\}' | head -1 >"$WORK/job"
    cat "$WORK/job"
}

# Whoever reads on would find that what a block began has come: other jobs than that one are over.
settle() {
    [ -e "$WORK/pids" ] || return 0
    while "$CURL" -s "$SERVER/api/windlass/v1/jobs?status=downloading" | grep -o '"model":"[^"]*"' | grep -qv slow; do sleep 0.1; done
}

run() { # number, kind of block
    local text="$WORK/$1.$2"
    case "$2" in
    sh) sed -i 's/job_493c7c9ded/$(job)/g' "$text" && . "$text" ;; # asked for when it comes to it: a server may start first
    python) "$BIN/python" "$text" ;;
    esac >"$WORK/$1.out" 2>&1
    settle
}
