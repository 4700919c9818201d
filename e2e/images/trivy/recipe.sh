# Trivy, alone in its image: it needs no shell. The image that the project publishes
# has one, and its program where this has it.
# shellcheck shell=bash disable=SC2034,SC2154

parts=(trivy)
config=(
    --config.entrypoint /usr/local/bin/trivy
    --config.user 65534:65534
)

assemble() {
    install -D "$(program trivy)" "$1/usr/local/bin/trivy"
    install -D -m 644 /etc/ssl/certs/ca-certificates.crt "$1/etc/ssl/certs/ca-certificates.crt"
    install -d -m 1777 "$1/tmp"
}
