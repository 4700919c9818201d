# All that the cluster runs, its daemons and its pods, is in cgroups under
# $CGROUP. So what is ours can be told without trusting any process number.
# shellcheck shell=bash

# cgroup_roots: the mounted hierarchies; several with version 1, one with version 2.
cgroup_roots() {
    awk '$3 == "cgroup" || $3 == "cgroup2" { print $2 }' /proc/mounts
}

# The hierarchy by which we tell our own processes.
tracking_cgroup() {
    local root
    root=$(awk '$3 == "cgroup" && $4 ~ /(^|,)pids(,|$)/ { print $2; exit }' /proc/mounts)
    printf '%s/%s' "${root:-/sys/fs/cgroup}" "$CGROUP"
}

ensure_cgroups() {
    local root
    while read -r root; do
        mkdir -p "$root/$CGROUP"
        # Version 1: a new cpuset admits nobody until it is told which cores.
        if [[ -f $root/cpuset.mems && -f $root/$CGROUP/cpuset.mems ]]; then
            cat "$root/cpuset.cpus" >"$root/$CGROUP/cpuset.cpus"
            cat "$root/cpuset.mems" >"$root/$CGROUP/cpuset.mems"
        fi
        # Version 2: children have only the controllers that the parent passes on.
        if [[ $root == /sys/fs/cgroup && -f $root/cgroup.controllers ]]; then
            sed 's/\(^\| \)/\1+/g' "$root/cgroup.controllers" >"$root/cgroup.subtree_control"
            sed 's/\(^\| \)/\1+/g' "$root/cgroup.controllers" >"$root/$CGROUP/cgroup.subtree_control"
        fi
    done < <(cgroup_roots)
    mkdir -p "$(tracking_cgroup)/daemons"
}

# our_processes: the number of each process in our cgroups.
our_processes() {
    local cgroup
    cgroup=$(tracking_cgroup)
    [[ -d $cgroup ]] || return 0
    # A cgroup may vanish between being found and being read.
    find "$cgroup" -name cgroup.procs -exec cat {} + 2>/dev/null | sort -un || true
}

# end_our_processes: again until none is left, since a dying one may still fork.
end_our_processes() {
    local attempt pids
    for attempt in {1..100}; do
        mapfile -t pids < <(our_processes)
        ((${#pids[@]})) || return 0
        # A frozen process does not die before it is thawed.
        find "$(awk '$3 == "cgroup" && $4 ~ /(^|,)freezer(,|$)/ { print $2; exit }' /proc/mounts)/$CGROUP" \
            -name freezer.state -exec sh -c 'echo THAWED > "$1"' sh {} \; 2>/dev/null || true
        kill -KILL "${pids[@]}" 2>/dev/null || true
        sleep 0.1
    done
    fail "these processes do not end: ${pids[*]} (after $attempt tries)"
}

remove_cgroups() {
    local root
    while read -r root; do
        [[ -d $root/$CGROUP ]] || continue
        wait_until 10 remove_cgroup "$root/$CGROUP" || fail "could not remove the cgroup $root/$CGROUP"
    done < <(cgroup_roots)
}

remove_cgroup() {
    find "$1" -depth -type d -exec rmdir {} + 2>/dev/null
    [[ ! -d $1 ]]
}
