# What the scripts say while they work: one line a step, with the seconds since
# the script started, on standard error, so that standard output stays for results.
# shellcheck shell=bash

# step TEXT...
step() {
    printf '[%4ds] %s\n' "$SECONDS" "$*" >&2
}

# fail TEXT...: say why and end the script.
fail() {
    printf '[%4ds] error: %s\n' "$SECONDS" "$*" >&2
    exit 1
}

# show_end_of FILE: the last lines of a log, indented, for an error message.
show_end_of() {
    [[ -s $1 ]] || return 0
    printf '         the end of %s:\n' "$1" >&2
    tail -n 8 "$1" | cut -c1-400 | sed 's/^/         | /' >&2
}

# wait_until SECONDS COMMAND...: run the command every fifth of a second until
# it succeeds; 1 when the time is over.
wait_until() {
    local deadline=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        ((SECONDS < deadline)) || return 1
        sleep 0.2
    done
}

# try_thrice WHAT COMMAND...: what needs a network may fail for a moment's reason. What came down before is kept.
try_thrice() {
    local what=$1 try
    shift
    for try in 1 2 3; do
        ! "$@" || return 0
        ((try == 3)) || {
            step "could not $what, trying again in $((try * 10)) s"
            sleep $((try * 10))
        }
    done
    fail "could not $what"
}
