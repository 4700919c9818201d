# What the cluster takes from Debian.
# shellcheck shell=bash

# A program (or a file) and the package that brings it.
declare -A PACKAGE_OF=(
    [containerd]=containerd [runc]=runc [/usr/lib/cni/bridge]=containernetworking-plugins
    [ip]=iproute2 [iptables]=iptables [nft]=nftables [conntrack]=conntrack [nsenter]=util-linux
    [skopeo]=skopeo [umoci]=umoci [mmdebstrap]=mmdebstrap [htpasswd]=apache2-utils
    [openssl]=openssl [jq]=jq [curl]=curl [git]=git [/etc/ssl/certs/ca-certificates.crt]=ca-certificates
    [modprobe]=kmod
)

require_machine() {
    [[ $(uname -s) == Linux ]] || fail "the cluster needs Linux: namespaces and cgroups"
    ((EUID == 0)) || fail "the cluster needs root: run this as root (it touches $STATE, $CACHE, $RUN and one network namespace)"
    # The kubelet's sockets lie in $STATE, and a socket's path has at most 107 bytes.
    ((${#STATE} <= 70)) || fail "the path $STATE is too long for sockets: set XDG_STATE_HOME to a shorter one"
}

require_packages() {
    local program missing=()
    for program in "${!PACKAGE_OF[@]}"; do
        type -P "$program" >/dev/null || [[ -e $program && $program == /* ]] ||
            missing+=("${PACKAGE_OF[$program]}")
    done
    ((${#missing[@]})) || return 0
    type -P apt-get >/dev/null || fail "missing, and no apt-get here to install them: ${missing[*]}"
    step "installing Debian packages: ${missing[*]}"
    mkdir -p "$LOGS"
    {
        # The packaged containerd must not start a service of its own.
        [[ -d /run/systemd/system ]] && systemctl mask --runtime containerd.service
        # Another step of the same run may be at apt's lock.
        apt-get update -q -o DPkg::Lock::Timeout=300 &&
            DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y -q --no-install-recommends "${missing[@]}"
    } >"$LOGS/packages.log" 2>&1 || {
        show_end_of "$LOGS/packages.log"
        fail "could not install ${missing[*]}"
    }
}
