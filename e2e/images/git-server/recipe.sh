# Git over smart HTTP: lighttpd checks the password, git http-backend serves.
# shellcheck shell=bash disable=SC2034,SC2154

packages=(git lighttpd)
config=(
    --config.entrypoint lighttpd
    --config.cmd -D
    --config.cmd -f
    --config.cmd /etc/git-server/lighttpd.conf
    --config.user 1000:1000
)

assemble() {
    install -D -m 644 "$recipe/lighttpd.conf" "$1/etc/git-server/lighttpd.conf"
    install -D -m 644 "$recipe/gitconfig" "$1/etc/gitconfig"
    install "$recipe/serve" "$1/usr/local/bin/serve"
    install "$recipe/create-repository" "$1/usr/local/bin/create-repository"
    printf 'git:x:1000:1000:git:/repositories:/bin/sh\n' >>"$1/etc/passwd"
    printf 'git:x:1000:\n' >>"$1/etc/group"
    install -d -o 1000 -g 1000 "$1/repositories"
}
