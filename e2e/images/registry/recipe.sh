# The distribution project's registry, alone in its image; its configuration
# is mounted by the pod.
# shellcheck shell=bash disable=SC2034,SC2154

parts=(registry)
config=(
    --config.entrypoint /registry
    --config.cmd serve
    --config.cmd /etc/registry/config.yaml
)

assemble() {
    install "$(program registry)" "$1/registry"
    install -d "$1/etc"
    install -d -m 1777 "$1/tmp"
}
