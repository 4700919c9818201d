# Prometheus, alone in its image and with nothing to scrape: tests ask it what is
# constant.
# shellcheck shell=bash disable=SC2034,SC2154

parts=(prometheus)
config=(
    --config.entrypoint /prometheus
    --config.cmd --config.file=/etc/prometheus.yml
    --config.cmd --storage.tsdb.path=/tmp/data
    --config.user 65534:65534
)

assemble() {
    install "$(program prometheus)" "$1/prometheus"
    install -d "$1/etc"
    install -d -m 1777 "$1/tmp"
    printf 'scrape_configs: []\n' >"$1/etc/prometheus.yml"
}
