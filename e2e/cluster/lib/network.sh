# The cluster's network: one namespace with no way out, joined to the host by a
# pair of links. Whoever is in it reaches the host and the cluster, nothing else.
# shellcheck shell=bash

# in_cluster COMMAND...: not `ip netns exec`, which remounts /sys without the cgroups.
in_cluster() {
    nsenter --net="/run/netns/$NETNS" -- "$@"
}

ensure_network() {
    network_is_up || {
        remove_network
        step "creating the network namespace $NETNS"
        ip netns add "$NETNS"
        ip link add "$LINK_HOST" type veth peer name "$LINK_NODE" netns "$NETNS"
        in_cluster ip link set lo up
        in_cluster ip address add "$NODE_ADDRESS/30" dev "$LINK_NODE"
        in_cluster ip link set "$LINK_NODE" up
        ip address add "$HOST_ADDRESS/30" dev "$LINK_HOST"
        ip link set "$LINK_HOST" up
        # From inside, all that is not the cluster's own is unreachable at once
        # rather than after a timeout.
        in_cluster ip route add unreachable default
    }
    # Quick enough to say again each time.
    in_cluster sysctl -qw net.ipv4.ip_forward=1
    modprobe -q br_netfilter 2>/dev/null || true
    [[ ! -d /proc/sys/net/bridge ]] || in_cluster sysctl -qw net.bridge.bridge-nf-call-iptables=1
    # kube-proxy redirects what the node itself sends to a Service, but only after
    # the kernel found some route for it.
    in_cluster ip route replace "$SERVICE_ADDRESSES" dev lo src "$NODE_ADDRESS"
    ip route replace "$POD_ADDRESSES" via "$NODE_ADDRESS" dev "$LINK_HOST"
    ip route replace "$SERVICE_ADDRESSES" via "$NODE_ADDRESS" dev "$LINK_HOST"
    ip route replace unreachable "$ALL_ADDRESSES"
}

network_is_up() {
    [[ $(in_cluster ip -o address show dev "$LINK_NODE" 2>/dev/null) == *" $NODE_ADDRESS/30 "* &&
        $(ip -o address show dev "$LINK_HOST" 2>/dev/null) == *" $HOST_ADDRESS/30 "* ]]
}

# Routes through a link go with the link; nftables and the pods' links with the namespace.
remove_network() {
    ip route del unreachable "$ALL_ADDRESSES" 2>/dev/null || true
    ip link del "$LINK_HOST" 2>/dev/null || true
    [[ ! -e /run/netns/$NETNS ]] || ip netns del "$NETNS"
}
