# Kubernetes and what goes with it, built from pinned Go modules.
#
# Each part is a folder under go/ with a go.mod whose `tool` lines name the
# programs, a go.sum, and perhaps `ldflags`, `tags`, `experiments` and Go files of
# ours. The result is kept in $BINARIES/<part>-<hash of these files and the flags>,
# so only the first run pays.
# shellcheck shell=bash

GO_FLAGS=(-mod=readonly -trimpath -buildvcs=false)
GO_LDFLAGS='-s -w'

ldflags_of() {
    local file=$HERE/go/$1/ldflags
    printf '%s' "$GO_LDFLAGS"
    [[ ! -f $file ]] || printf ' %s' "$(<"$file")"
}

# tags_of PART: nothing, or -tags and what it is built without.
tags_of() {
    local file=$HERE/go/$1/tags
    [[ ! -f $file ]] || printf -- '-tags=%s' "$(<"$file")"
}

# experiments_of PART: what it needs of Go that is not in Go by default.
experiments_of() {
    local file=$HERE/go/$1/experiments
    [[ ! -f $file ]] || printf 'GOEXPERIMENT=%s' "$(<"$file")"
}

# directory_of PART: where its programs are, or will be.
directory_of() {
    local part=$1 key
    key=$({
        cat "$HERE/go/$part/go.mod" "$HERE/go/$part/go.sum"
        printf '%s\n' "${GO_FLAGS[@]}" "$(ldflags_of "$part")"
        tags_of "$part"
        experiments_of "$part"
        find "$HERE/go/$part" -name '*.go' -print0 | sort -z | xargs -0r cat
    } | sha256sum | cut -c1-16)
    printf '%s/%s-%s' "$BINARIES" "$part" "$key"
}

duration_of() {
    case $1 in
    kubernetes | trivy) printf '5 min' ;;
    *) printf '1 min' ;;
    esac
}

# require_go: the newest `go` line among the parts decides.
require_go() {
    local have need
    command -v go >/dev/null || fail "the Go toolchain is missing: install Go from https://go.dev/dl"
    have=$(GOTOOLCHAIN=local go env GOVERSION | sed 's/^go//; s/[^0-9.].*//')
    need=$(sed -n 's/^go //p' "$HERE"/go/*/go.mod | sort -V | tail -n 1)
    [[ $(printf '%s\n' "$need" "$have" | sort -V | head -n 1) == "$need" ]] ||
        fail "Go $need or later is needed to build the cluster, this is Go $have"
}

# build_part PART: nothing if it is there. Several may ask at once: one builds,
# under a lock, and the result appears whole, by a rename.
build_part() {
    local part=$1 directory draft lock log
    directory=$(directory_of "$part")
    [[ ! -d $directory ]] || return 0
    require_go
    mkdir -p "$BINARIES"
    # One lock for all parts: a build keeps every core busy by itself.
    exec {lock}>"$BINARIES/.lock"
    if ! flock -n "$lock"; then
        step "waiting for another build in $BINARIES"
        flock "$lock"
    fi
    if [[ ! -d $directory ]]; then
        step "building $part (about $(duration_of "$part") on two cores, once)"
        rm -rf "$BINARIES/$part".draft.*
        draft=$(mktemp -d "$BINARIES/$part.draft.XXXXXX")
        log=$draft/log
        try_thrice "build $part" compile_anew "$part" "$draft" "$log"
        rm "$log"
        chmod 755 "$draft"
        mv -T "$draft" "$directory"
    fi
    exec {lock}>&-
}

compile_anew() {
    (compile "$1" "$2") >"$3" 2>&1 || {
        show_end_of "$3"
        return 1
    }
}

# compile PART DIRECTORY: a part with one program gives it the part's own name.
compile() {
    local part=$1 directory=$2 output=$2/ tools tags experiments
    cd "$HERE/go/$part" || return
    mapfile -t tools < <(sed -n 's/^tool \([^(]\)/\1/p; /^tool ($/,/^)$/s/^\t//p' go.mod)
    ((${#tools[@]} > 1)) || output=$directory/$part
    mapfile -t tags < <(tags_of "$part")
    mapfile -t experiments < <(experiments_of "$part")
    env -u GOROOT GOTOOLCHAIN=local GOFLAGS= GOWORK=off CGO_ENABLED=0 "${experiments[@]}" \
        nice -n 10 go build "${GO_FLAGS[@]}" "${tags[@]}" -ldflags "$(ldflags_of "$part")" -o "$output" "${tools[@]}"
}

# program NAME: the full path of one of ours.
program() {
    local part=$1
    case $1 in
    kube*) part=kubernetes ;;
    esac
    printf '%s/%s' "$(directory_of "$part")" "$1"
}

build_binaries() {
    local part
    for part in "${PARTS[@]}"; do
        build_part "$part"
    done
}
