# The sandbox image of every pod.
# shellcheck shell=bash disable=SC2034,SC2154

config=(--config.entrypoint /pause)

assemble() {
    env -u GOROOT GOTOOLCHAIN=local GOWORK=off CGO_ENABLED=0 nice -n 10 \
        go build -trimpath -ldflags '-s -w' -o "$1/pause" "$recipe/main.go"
}
