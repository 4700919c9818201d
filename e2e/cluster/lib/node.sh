# The one node: containerd, the kubelet, kube-proxy and the cluster's DNS.
# shellcheck shell=bash

start_containerd() {
    write_config containerd.toml <<TOML
version = 2
root = "$STATE/containerd"
state = "$RUN/containerd"
disabled_plugins = [
  "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs",
]

[grpc]
address = "$CONTAINERD_SOCKET"

[plugins."io.containerd.internal.v1.opt"]
path = "$STATE/containerd/opt"

[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "$(local_image pause)"
# A container's log is cut by the kubelet; a pod's namespaces are unmounted with $RUN.
netns_mounts_under_state_dir = true
# Machines without CAP_SYS_RESOURCE cannot lower oom_score_adj.
restrict_oom_score_adj = true

[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "/usr/lib/cni"
conf_dir = "$CONFIG/cni"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
SystemdCgroup = false
Root = "$RUN/runc"

[plugins."io.containerd.grpc.v1.cri".registry]
config_path = "$CONFIG/registries"
TOML
    # The registry speaks plain HTTP, and the node does not ask the cluster's DNS.
    mkdir -p "$CONFIG/registries/$REGISTRY" "$CONFIG/cni"
    write_config "registries/$REGISTRY/hosts.toml" <<TOML
server = "http://$REGISTRY_ADDRESS:5000"

[host."http://$REGISTRY_ADDRESS:5000"]
capabilities = ["pull", "resolve"]
TOML
    write_config cni/10-switchyard.conflist <<JSON
{
  "cniVersion": "0.4.0",
  "name": "$CNI_NETWORK",
  "plugins": [
    {
      "type": "bridge", "bridge": "sy-pods", "isGateway": true, "hairpinMode": true,
      "ipam": {
        "type": "host-local", "dataDir": "$RUN/cni",
        "ranges": [[{"subnet": "$NODE_POD_ADDRESSES"}]],
        "routes": [{"dst": "0.0.0.0/0"}]
      }
    },
    {"type": "portmap", "capabilities": {"portMappings": true}}
  ]
}
JSON
    mkdir -p "$STATE/containerd" "$RUN/containerd" "$RUN/cni"
    start containerd containerd \
        --config "$CONFIG/containerd.toml" --log-level warn
    wait_for containerd 30 ctr_cluster version
}

start_kubelet() {
    write_config kubelet-resolv.conf <<<"nameserver $NODE_ADDRESS"
    write_config kubelet.yaml <<YAML
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: $NODE_ADDRESS
healthzBindAddress: 127.0.0.1
tlsCertFile: $PKI/kubelet.crt
tlsPrivateKeyFile: $PKI/kubelet.key
authentication:
  anonymous: {enabled: false}
  webhook: {enabled: true}
  x509: {clientCAFile: $PKI/ca.crt}
authorization: {mode: Webhook}
containerRuntimeEndpoint: unix://$CONTAINERD_SOCKET
cgroupDriver: cgroupfs
cgroupRoot: /$CGROUP
failCgroupV1: false
failSwapOn: false
oomScoreAdj: 0
featureGates: {KubeletInUserNamespace: true}
clusterDNS: [$DNS_ADDRESS]
clusterDomain: cluster.local
resolvConf: $CONFIG/kubelet-resolv.conf
podLogsDir: $STATE/pod-logs
volumePluginDir: $STATE/kubelet/volume-plugins
containerLogMaxSize: 10Mi
containerLogMaxFiles: 2
serializeImagePulls: false
maxPods: 200
# The machine is shared: only a nearly full disk or memory may evict.
evictionHard:
  memory.available: 100Mi
  nodefs.available: 1%
  nodefs.inodesFree: 1%
  imagefs.available: 1%
# Imported images cannot be pulled again: collect none.
imageGCHighThresholdPercent: 100
imageGCLowThresholdPercent: 99
YAML
    mkdir -p "$STATE/kubelet" "$STATE/pod-logs"
    start kubelet "$(program kubelet)" --config "$CONFIG/kubelet.yaml" --kubeconfig "$CONFIG/kubelet.kubeconfig" \
        --root-dir "$STATE/kubelet" --hostname-override "$NODE_NAME" --node-ip "$NODE_ADDRESS"
}

start_proxy() {
    write_config proxy.yaml <<YAML
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: nftables
clientConnection: {kubeconfig: $CONFIG/proxy.kubeconfig}
hostnameOverride: $NODE_NAME
clusterCIDR: $POD_ADDRESSES
detectLocalMode: ClusterCIDR
healthzBindAddress: 127.0.0.1:10256
metricsBindAddress: 127.0.0.1:10249
# These are settings of the whole machine, not of the namespace.
conntrack: {maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}
YAML
    start proxy "$(program kube-proxy)" --config "$CONFIG/proxy.yaml"
}

start_dns() {
    write_config dns.corefile <<COREFILE
cluster.local in-addr.arpa {
    bind $NODE_ADDRESS
    errors
    kubernetes {
        kubeconfig $CONFIG/dns.kubeconfig
        pods verified
        ttl 5
    }
}
# There is no way out, so no other name exists.
. {
    bind $NODE_ADDRESS
    template ANY ANY {
        rcode NXDOMAIN
    }
}
COREFILE
    start dns "$(program coredns)" -conf "$CONFIG/dns.corefile"
}

node_is_ready() {
    [[ $(kubectl_admin get node "$NODE_NAME" -o jsonpath='{.status.conditions[?(@.type=="Ready")].status}' 2>/dev/null) == True ]]
}
