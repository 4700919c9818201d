# shellcheck shell=bash
# What the scripts beside this share. Everything they say goes to standard error, one line a step with the seconds since
# the start, as the cluster's own scripts do.

cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." || exit 1
# Nothing here may depend on what the caller's shell points at.
unset KUBECONFIG

# Logs, counts and pids of what runs now.
RESULTS=target/e2e
mkdir -p "$RESULTS"

step() {
    printf '[%4ds] %s\n' "$SECONDS" "$*" >&2
}

fail() {
    printf '[%4ds] error: %s\n' "$SECONDS" "$*" >&2
    exit 1
}

# build ARGUMENT...: a debug build. Always of the workspace's features, or the dependencies would be built once for each
# package.
build() {
    cargo build --quiet --locked --workspace "$@"
}

# build_release: what goes into the operator's image.
build_release() {
    cargo build --quiet --locked --release --package switchyard-operator --package switchyard-worker
}

# begin_cluster: starts the cluster in the background. Its parts are built from Go modules the first time, which takes
# longer than everything else, so it should begin early; what builds Rust meanwhile is not held up by it.
begin_cluster() {
    # In a process group of its own, so that its end is the end of the compilers it started.
    setsid nice -n 5 e2e/cluster/up >"$RESULTS/cluster.log" 2>&1 &
    CLUSTER_PID=$!
    trap 'end_cluster_start' EXIT
    step "starting the cluster beside this (see $RESULTS/cluster.log)"
}

# A script that ends early ends what it began in the background, and nothing else.
end_cluster_start() {
    [[ -z ${CLUSTER_PID:-} ]] || kill -- "-$CLUSTER_PID" 2>/dev/null || true
}

# wait_for_cluster: until it is up, telling what it does. Says so and fails if it does not start.
wait_for_cluster() {
    local said='' now
    [[ -n ${CLUSTER_PID:-} ]] || begin_cluster
    while kill -0 "$CLUSTER_PID" 2>/dev/null; do
        now=$(tail -n 1 "$RESULTS/cluster.log")
        [[ $now == "$said" ]] || step "cluster: ${now#*] }"
        said=$now
        sleep 1
    done
    local status=0
    wait "$CLUSTER_PID" || status=$?
    CLUSTER_PID=
    ((status == 0)) || {
        tail -n 20 "$RESULTS/cluster.log" >&2
        step "error: the cluster did not start"
        return 1
    }
}
