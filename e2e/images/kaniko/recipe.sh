# Kaniko's executor, laid out like the image that the project publishes: all of
# it under /kaniko, since Kaniko unpacks base images over everything else.
# shellcheck shell=bash disable=SC2034,SC2154

parts=(kaniko)
config=(
    --config.entrypoint /kaniko/executor
    --config.workingdir /workspace
    --config.user 0:0
    --config.env HOME=/root
    --config.env USER=root
    --config.env PATH=/usr/local/bin:/kaniko
    --config.env SSL_CERT_DIR=/kaniko/ssl/certs
    --config.env DOCKER_CONFIG=/kaniko/.docker/
)

assemble() {
    install -D "$(program kaniko)" "$1/kaniko/executor"
    install -D -m 644 /etc/ssl/certs/ca-certificates.crt "$1/kaniko/ssl/certs/ca-certificates.crt"
    install -d -m 777 "$1/kaniko" "$1/kaniko/.docker" "$1/workspace"
    install -d "$1/etc" "$1/root"
    install -d -m 1777 "$1/tmp"
    printf 'hosts: files dns\n' >"$1/etc/nsswitch.conf"
    printf 'root:x:0:0:root:/root:/sbin/nologin\n' >"$1/etc/passwd"
    printf 'root:x:0:\n' >"$1/etc/group"
}
