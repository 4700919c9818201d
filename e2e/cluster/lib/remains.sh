# Taking away what the cluster put on the machine, whatever state it is in.
# shellcheck shell=bash

# our_mounts: what is mounted under our folders, the innermost first; and under the
# state folder of a dead cluster that was another user's.
our_mounts() {
    local point owner
    owner=$(cat "$RUN/owner" 2>/dev/null) || owner=$STATE
    while read -r point; do
        # Spaces and the like are written in octal there.
        point=$(printf '%b' "${point//\\/\\0}")
        case $point in
        "$STATE"/* | "$owner"/* | "$RUN"/*) printf '%s\n' "$point" ;;
        esac
    done < <(awk '{ print $5 }' /proc/self/mountinfo | tac)
}

unmount_ours() {
    local point
    while read -r point; do
        umount "$point" 2>/dev/null || umount --lazy "$point" 2>/dev/null || true
    done < <(our_mounts)
    [[ -z $(our_mounts) ]] || fail "could not unmount $(our_mounts | head -n 1)"
}

# Links to pods' logs are put into /var/log/containers, which the kubelet does not let one choose.
remove_log_links() {
    [[ ! -d /var/log/containers ]] || {
        find /var/log/containers -maxdepth 1 -type l -lname "$STATE/*" -delete
        rmdir --ignore-fail-on-non-empty /var/log/containers
    }
}

# Nor do containerd and CNI let one choose where shims listen and results are kept.
# A socket is taken away when nobody listens on it any more.
remove_shim_sockets() {
    local socket
    for socket in /run/containerd/s/*; do
        [[ -S $socket ]] || continue
        grep -qF -- "$socket" /proc/net/unix || rm -f "$socket"
    done
    rmdir /run/containerd/s /run/containerd 2>/dev/null || true
    rm -f /var/lib/cni/results/"$CNI_NETWORK"-*
    rmdir -p /var/lib/cni/results 2>/dev/null || true
}

# clear_remains: everything outside of $STATE. All of it is ours by its place: in
# our cgroups, under our folders, in our namespace.
clear_remains() {
    end_our_processes
    unmount_ours
    remove_network
    remove_cgroups
    remove_log_links
    remove_shim_sockets
    rm -rf --one-file-system "$RUN" "$PIDS"
}

# What was given up and is not deleted yet.
GIVEN_UP=$STATE.gone

# give_up PATH...: deletes it in two steps, each of which may be cut off: it is never
# found half deleted where it was.
give_up() {
    local path
    mkdir -p "$GIVEN_UP"
    for path; do
        [[ ! -e $path ]] || mv -T "$path" "$(mktemp -d "$GIVEN_UP/XXXXXX")/given-up"
    done
    rm -rf --one-file-system "$GIVEN_UP"
}

# forget_state: all of $STATE but the logs.
forget_state() {
    local logs
    give_up
    if [[ -d $STATE ]]; then
        mkdir -p "$GIVEN_UP"
        logs=$(mktemp -d "$GIVEN_UP/XXXXXX")
        find "$STATE" -mindepth 1 -maxdepth 1 \( -name log -o -name 'audit*.log' \) -exec mv -t "$logs" {} +
        mv -T "$STATE" "$GIVEN_UP/state"
        mkdir "$STATE"
        find "$logs" -mindepth 1 -maxdepth 1 -exec mv -t "$STATE" {} +
    fi
    give_up
}

# what_remains: one line for each thing of ours on the machine.
what_remains() {
    our_processes | sed 's/^/process /'
    our_mounts | sed 's/^/mount /'
    [[ ! -e /run/netns/$NETNS ]] || echo "namespace $NETNS"
    find /run/netns -maxdepth 1 -name 'cni-*' 2>/dev/null | sed 's/^/namespace /'
    ip -o link show 2>/dev/null | grep -oE "(${LINK_HOST}|${LINK_NODE}|sy-pods)\b" | sed 's/^/link /' || true
    ip route show table all | grep -E '198\.1[89]\.' | sed 's/^/route /' || true
    nft list tables 2>/dev/null | grep -i kube | sed 's/^/nftables /' || true
    iptables-save 2>/dev/null | grep -E 'KUBE-|CNI-' | sed 's/^/iptables /' || true
    while read -r root; do
        [[ ! -d $root/$CGROUP ]] || echo "cgroup $root/$CGROUP"
    done < <(cgroup_roots)
    [[ ! -e $RUN ]] || echo "folder $RUN"
    find /var/log/containers -lname "$STATE/*" 2>/dev/null | sed 's/^/link to a log /' || true
}

# another_owner: the state folder of a cluster that runs here and is not this one.
another_owner() {
    local owner
    owner=$(cat "$RUN/owner" 2>/dev/null) || return 1
    [[ $owner != "$STATE" && -n $(our_processes) ]] || return 1
    printf '%s' "$owner"
}

# take_machine: one cluster a machine, one script a time.
take_machine() {
    local owner
    mkdir -p /run/lock
    exec {machine_lock}>/run/lock/switchyard-cluster
    flock -n "$machine_lock" || {
        step "waiting for another script that works on the cluster"
        flock "$machine_lock"
    }
    if owner=$(another_owner); then
        fail "another cluster runs on this machine, with its state in $owner; end it first: XDG_STATE_HOME=${owner%/switchyard/cluster} $HERE/down"
    fi
}
