# The daemons: started in our cgroup and network namespace, and known again by
# number, start time and boot, so that a number which has passed on to another
# process is neither trusted nor ended.
# shellcheck shell=bash

PIDS=$STATE/pid

# started_at PID: in clock ticks since the boot; fails if there is no such process.
started_at() {
    local stat
    { stat=$(<"/proc/$1/stat"); } 2>/dev/null || return 1
    # The name, in parentheses, may hold spaces.
    stat=${stat##*) }
    # shellcheck disable=SC2086
    set -- $stat
    # A zombie has ended.
    [[ $1 != Z ]] || return 1
    printf '%s' "${20}"
}

# pid_of NAME: its number if it runs.
pid_of() {
    local pid started boot
    [[ -s $PIDS/$1 ]] || return 1
    read -r pid started boot <"$PIDS/$1" || return 1
    [[ $boot == "$(</proc/sys/kernel/random/boot_id)" && $(started_at "$pid") == "$started" ]] || return 1
    printf '%s' "$pid"
}

runs() {
    pid_of "$1" >/dev/null 2>&1
}

# start NAME COMMAND...: nothing if the same command with the same configuration
# (the files in $CONFIG/NAME*) already runs; if another one does, it is replaced.
start() {
    local name=$1 print
    shift
    print=$(fingerprint "$name" "$@")
    if runs "$name"; then
        [[ $(cat "$PIDS/$name.print" 2>/dev/null) != "$print" ]] || return 0
        step "$name has another configuration now"
        stop "$name"
    fi
    step "starting $name"
    mkdir -p "$PIDS" "$LOGS"
    cap_log "$LOGS/$name.log"
    # Nothing of the caller's environment: a proxy or a path in it is not for daemons.
    # The process writes its own number before it becomes the daemon: there is no
    # moment at which it runs unknown. Locks of ours (file descriptors from 10) are
    # closed, or they would be held as long as the daemon lives.
    # shellcheck disable=SC2016
    setsid --fork bash -c '
        for descriptor in /proc/self/fd/*; do
            descriptor=${descriptor##*/}
            ((descriptor <= 2)) || eval "exec $descriptor>&-"
        done
        echo $$ >"$1/cgroup.procs" || exit
        stat=$(</proc/$$/stat)
        read -ra fields <<<"${stat##*) }"
        echo "$$ ${fields[19]} $(</proc/sys/kernel/random/boot_id)" >"$2.new" && mv -f "$2.new" "$2" || exit
        netns=$3; shift 3
        exec env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
            nsenter --net="$netns" -- "$@"
    ' "start-$name" "$(tracking_cgroup)/daemons" "$PIDS/$name" "/run/netns/$NETNS" "$@" \
        </dev/null >>"$LOGS/$name.log" 2>&1
    printf '%s' "$print" >"$PIDS/$name.print"
    wait_until 5 runs "$name" || {
        show_end_of "$LOGS/$name.log"
        fail "$name ended as soon as it was started"
    }
}

fingerprint() {
    local name=$1
    shift
    {
        printf '%s\n' "$@"
        find "$CONFIG" -maxdepth 1 -type f -name "$name*" -exec sha256sum {} + 2>/dev/null | sort
    } | sha256sum | cut -c1-16
}

# stop NAME [SIGNAL]: gently, then not.
stop() {
    local name=$1 signal=${2:-TERM} pid
    if pid=$(pid_of "$name"); then
        kill -s "$signal" "$pid" 2>/dev/null || true
        wait_until 20 is_gone "$name" || kill -s KILL "$pid" 2>/dev/null || true
        wait_until 10 is_gone "$name" || fail "$name (process $pid) does not end"
    fi
    rm -f "$PIDS/$name" "$PIDS/$name.print"
}

is_gone() {
    ! runs "$1"
}

# cap_log FILE: keep the end of what grew past 50 MiB while the daemon is not running.
cap_log() {
    [[ -f $1 ]] || return 0
    (($(stat -c %s "$1") > 50 << 20)) || return 0
    tail -c 1M "$1" >"$1.new" && mv -f "$1.new" "$1"
}

# wait_for NAME SECONDS COMMAND...: until the command succeeds; at once an error
# if the daemon ends meanwhile.
wait_for() {
    local name=$1 deadline=$((SECONDS + $2))
    shift 2
    until "$@" >/dev/null 2>&1; do
        if ! runs "$name" || ((SECONDS >= deadline)); then
            show_end_of "$LOGS/$name.log"
            runs "$name" || fail "$name ended"
            fail "$name does not answer"
        fi
        sleep 0.2
    done
}
