# Keys and certificates of the cluster, made once per cluster.
# shellcheck shell=bash

PKI=$STATE/pki
VALID_DAYS=3650

# ensure_key FILE
ensure_key() {
    [[ ! -s $1 ]] || return 0
    openssl ecparam -name prime256v1 -genkey -noout -out "$1.new" && mv -f "$1.new" "$1"
}

ensure_authority() {
    mkdir -p "$PKI"
    chmod 700 "$PKI"
    ensure_key "$PKI/ca.key"
    [[ -s $PKI/ca.crt ]] || {
        openssl req -x509 -new -key "$PKI/ca.key" -days "$VALID_DAYS" -subj /CN=switchyard-ground \
            -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign \
            -out "$PKI/ca.crt.new"
        mv -f "$PKI/ca.crt.new" "$PKI/ca.crt"
    }
    # Signs the tokens of service accounts; the public half checks them.
    ensure_key "$PKI/tokens.key"
    [[ -s $PKI/tokens.pub ]] || {
        openssl ec -in "$PKI/tokens.key" -pubout -out "$PKI/tokens.pub.new" 2>/dev/null
        mv -f "$PKI/tokens.pub.new" "$PKI/tokens.pub"
    }
}

# ensure_certificate NAME SUBJECT [ALTERNATIVE_NAMES]
ensure_certificate() {
    local name=$1 subject=$2 names=${3:-} file=$PKI/$1
    ensure_key "$file.key"
    [[ ! -s $file.crt ]] || return 0
    openssl req -new -key "$file.key" -subj "$subject" -out "$file.csr"
    openssl x509 -req -in "$file.csr" -CA "$PKI/ca.crt" -CAkey "$PKI/ca.key" -days "$VALID_DAYS" \
        -set_serial "0x$(openssl rand -hex 16)" -out "$file.crt.new" -extfile <(
            printf 'keyUsage=critical,digitalSignature\nextendedKeyUsage=clientAuth,serverAuth\n'
            [[ -z $names ]] || printf 'subjectAltName=%s\n' "$names"
        ) 2>/dev/null
    mv -f "$file.crt.new" "$file.crt"
    rm -f "$file.csr"
}

# ensure_kubeconfig NAME FILE: for the certificate of that name, complete in itself.
ensure_kubeconfig() {
    local name=$1 file=$2
    [[ ! -s $file ]] || return 0
    (
        umask 077
        cat >"$file.new" <<YAML
apiVersion: v1
kind: Config
clusters:
- name: switchyard
  cluster:
    server: $API_SERVER
    certificate-authority-data: $(base64 -w0 "$PKI/ca.crt")
users:
- name: $name
  user:
    client-certificate-data: $(base64 -w0 "$PKI/$name.crt")
    client-key-data: $(base64 -w0 "$PKI/$name.key")
contexts:
- name: switchyard
  context: {cluster: switchyard, user: $name}
current-context: switchyard
YAML
    )
    mv -f "$file.new" "$file"
}

ensure_certificates() {
    [[ -s $PKI/complete ]] || step "making keys and certificates"
    ensure_authority
    ensure_certificate apiserver /CN=kube-apiserver \
        "IP:$NODE_ADDRESS,IP:$KUBERNETES_ADDRESS,IP:127.0.0.1,DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:kubernetes.default.svc.cluster.local"
    ensure_certificate apiserver-to-kubelet /O=system:masters/CN=kube-apiserver-to-kubelet
    ensure_certificate kubelet "/O=system:nodes/CN=system:node:$NODE_NAME" "IP:$NODE_ADDRESS,DNS:$NODE_NAME"
    ensure_certificate controller-manager /CN=system:kube-controller-manager
    ensure_certificate scheduler /CN=system:kube-scheduler
    ensure_certificate proxy /CN=system:kube-proxy
    ensure_certificate dns /CN=system:coredns
    ensure_certificate admin /O=system:masters/CN=admin
    mkdir -p "$CONFIG"
    local name
    for name in kubelet controller-manager scheduler proxy dns; do
        ensure_kubeconfig "$name" "$CONFIG/$name.kubeconfig"
    done
    ensure_kubeconfig admin "$KUBECONFIG_ADMIN"
    printf 'yes\n' >"$PKI/complete"
}
