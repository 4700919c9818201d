# What examples/streamlit is built on. Debian has no Streamlit, so this has it
# from PyPI, over this machine's network: builds have no way out.
# shellcheck shell=bash disable=SC2034,SC2154

packages=(python3-pip python3-pytest ca-certificates)
config=(--config.cmd /usr/bin/python3)

assemble() {
    local certificates=etc/ssl/certs/ca-certificates.crt
    # By the pip of the image itself, as this machine is set up: its proxy's
    # certificate may be among its own, and is not to stay in the image.
    mv "$1/$certificates" "$1/$certificates.own"
    install -m 644 "/$certificates" "$1/$certificates"
    install -m 644 /etc/resolv.conf "$1/etc/resolv.conf"
    install -m 644 "$recipe/requirements.txt" "$1/tmp/requirements.txt"
    # Looked up by this machine's path, run with the image's.
    env -u PIP_FIND_LINKS HOME=/tmp PATH=/usr/bin:/bin "$(type -P chroot)" "$1" python3 -m pip install --no-cache-dir \
        --no-compile --no-deps --only-binary=:all: --break-system-packages --root-user-action=ignore \
        --requirement /tmp/requirements.txt
    mv "$1/$certificates.own" "$1/$certificates"
    rm "$1/etc/resolv.conf" "$1/tmp/requirements.txt"
}
