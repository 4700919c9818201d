# etcd, the API server and the controllers.
# shellcheck shell=bash

# write_config FILE: from standard input, and only if it changed, since some
# daemons end when their file is touched.
write_config() {
    local file=$CONFIG/$1
    mkdir -p "$CONFIG"
    cat >"$file.new"
    if cmp -s "$file.new" "$file"; then
        rm "$file.new"
    else
        mv -f "$file.new" "$file"
    fi
}

kubectl_admin() {
    "$(program kubectl)" --kubeconfig "$KUBECONFIG_ADMIN" "$@"
}

# api_is_ready: asked the way a client would, with a certificate.
api_is_ready() {
    curl -sf --max-time 2 --noproxy '*' --cacert "$PKI/ca.crt" --cert "$PKI/admin.crt" --key "$PKI/admin.key" \
        -o /dev/null "$API_SERVER/readyz"
}

# etcd listens on the loopback of the cluster's namespace: nobody else is there.
ETCD=http://127.0.0.1:2379

etcd_is_healthy() {
    [[ $(in_cluster curl -sf --max-time 2 --noproxy '*' "$ETCD/health") == *'"health":"true"'* ]]
}

# start_etcd: 1 if its data cannot be read, as after a crash in mid-write.
start_etcd() {
    mkdir -p "$STATE/etcd"
    chmod 700 "$STATE/etcd"
    # A test cluster need not survive a power cut: without fsync it is faster, and
    # what a killed process wrote is still in the kernel's hands.
    # In a subshell, so that its failure is ours to judge.
    (start etcd "$(program etcd)" --name "$NODE_NAME" --data-dir "$STATE/etcd" --unsafe-no-fsync \
        --listen-client-urls "$ETCD" --advertise-client-urls "$ETCD" \
        --listen-peer-urls http://127.0.0.1:2380 --initial-advertise-peer-urls http://127.0.0.1:2380 \
        --initial-cluster "$NODE_NAME=http://127.0.0.1:2380" \
        --auto-compaction-mode periodic --auto-compaction-retention 30m --quota-backend-bytes 2147483648 \
        --log-level warn) || return 1
    local deadline=$((SECONDS + 30))
    until etcd_is_healthy; do
        if ! runs etcd || ((SECONDS >= deadline)); then
            show_end_of "$LOGS/etcd.log"
            return 1
        fi
        sleep 0.2
    done
}

# Objects are kept as JSON, so that tests can read them from etcd itself.
start_apiserver() {
    write_config apiserver-audit.yaml <"$HERE/config/audit.yaml"
    start apiserver "$(program kube-apiserver)" \
        --advertise-address "$NODE_ADDRESS" --bind-address "$NODE_ADDRESS" --secure-port 6443 \
        --service-cluster-ip-range "$SERVICE_ADDRESSES" \
        --etcd-servers "$ETCD" --storage-media-type application/json \
        --authorization-mode Node,RBAC --enable-admission-plugins NodeRestriction --anonymous-auth=true \
        --client-ca-file "$PKI/ca.crt" \
        --tls-cert-file "$PKI/apiserver.crt" --tls-private-key-file "$PKI/apiserver.key" \
        --kubelet-client-certificate "$PKI/apiserver-to-kubelet.crt" \
        --kubelet-client-key "$PKI/apiserver-to-kubelet.key" \
        --kubelet-certificate-authority "$PKI/ca.crt" \
        --kubelet-preferred-address-types InternalIP \
        --service-account-issuer https://kubernetes.default.svc.cluster.local \
        --service-account-signing-key-file "$PKI/tokens.key" --service-account-key-file "$PKI/tokens.pub" \
        --audit-policy-file "$CONFIG/apiserver-audit.yaml" --audit-log-path "$STATE/audit.log" \
        --audit-log-mode blocking --audit-log-maxsize 200 --audit-log-maxbackup 2 \
        --shutdown-watch-termination-grace-period 2s --profiling=false
    wait_for apiserver 90 api_is_ready
}

start_controllers() {
    start controller-manager "$(program kube-controller-manager)" \
        --kubeconfig "$CONFIG/controller-manager.kubeconfig" \
        --bind-address 127.0.0.1 --leader-elect=false --use-service-account-credentials \
        --service-account-private-key-file "$PKI/tokens.key" --root-ca-file "$PKI/ca.crt" \
        --cluster-signing-cert-file "$PKI/ca.crt" --cluster-signing-key-file "$PKI/ca.key" \
        --allocate-node-cidrs --cluster-cidr "$POD_ADDRESSES" --node-cidr-mask-size 22 \
        --terminated-pod-gc-threshold 200 --profiling=false
    start scheduler "$(program kube-scheduler)" \
        --kubeconfig "$CONFIG/scheduler.kubeconfig" \
        --bind-address 127.0.0.1 --leader-elect=false --profiling=false
}
