# Names, addresses and places: everything else reads them from here.
# shellcheck shell=bash

# The scripts must not depend on what the caller's shell happens to point at.
unset KUBECONFIG CONTAINERD_ADDRESS CONTAINERD_NAMESPACE DOCKER_CONFIG
umask 022
export LC_ALL=C.UTF-8
PATH=$PATH:/usr/sbin:/sbin
# Downloads may need a proxy, the cluster never does.
export NO_PROXY="${NO_PROXY:+$NO_PROXY,}198.18.0.0/15"
export no_proxy="${no_proxy:+$no_proxy,}198.18.0.0/15"

HERE=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
IMAGE_RECIPES=$(cd -- "$HERE/../images" && pwd)

: "${HOME:=/root}"
CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/switchyard
STATE=${XDG_STATE_HOME:-$HOME/.local/state}/switchyard/cluster
BINARIES=$CACHE/bin
LOGS=$STATE/log
CONFIG=$STATE/config
KUBECONFIG_ADMIN=$STATE/kubeconfig

# What `up` creates outside of $STATE. A unix socket's path is limited to 107
# bytes and $STATE may be long, so the sockets live in $RUN.
RUN=/run/switchyard
NETNS=switchyard
LINK_HOST=sy-host
LINK_NODE=sy-node
CGROUP=switchyard

# 198.18.0.0/15 is set aside for benchmarks (RFC 2544), so it is nobody's
# network; the host routes what the cluster does not use as unreachable, and
# nothing meant for the cluster can leave by the default route.
ALL_ADDRESSES=198.18.0.0/15
HOST_ADDRESS=198.18.0.1
NODE_ADDRESS=198.18.0.2
POD_ADDRESSES=198.18.64.0/18
SERVICE_ADDRESSES=198.19.0.0/16
KUBERNETES_ADDRESS=198.19.0.1
DNS_ADDRESS=198.19.0.10
REGISTRY_ADDRESS=198.19.0.20
GIT_ADDRESS=198.19.0.21

NODE_NAME=node
API_SERVER=https://$NODE_ADDRESS:6443
REGISTRY=registry.forge.svc:5000
# What `trivy` publishes there.
TRIVY=trivy:v0.68.1
TRIVY_DB=trivy-db:2
# What `sonarqube` publishes there.
SONARQUBE=sonarqube:25.1.0.102122

# All parts that are built from Go modules, in the order in which they are built.
PARTS=(etcd kubernetes coredns registry kaniko helm)

CONTAINERD_SOCKET=$RUN/containerd.sock
CNI_NETWORK=switchyard
NODE_POD_ADDRESSES=198.18.64.0/22
