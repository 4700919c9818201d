# Container images made from Debian packages and from our own programs.
#
# e2e/images/NAME/recipe.sh may set `packages` (Debian's, on a minimal bookworm),
# `parts` (whose programs it holds) and `config` (for umoci), and may define
# assemble ROOT, which puts more files under ROOT. The result is an OCI layout in
# $CACHE/images/NAME-<hash of the recipe>. What is no image of files defines
# lay_out LAYOUT TAG instead, and writes the layout itself.
# shellcheck shell=bash

IMAGES=(pause registry git-server kaniko base-git base-python)
DEBIAN_SUITE=bookworm
# Documentation and translations are of no use in a container, and a third of it.
MMDEBSTRAP=(
    mmdebstrap --quiet --mode=root --variant=minbase --format=directory
    --dpkgopt='path-exclude=/usr/share/man/*'
    --dpkgopt='path-exclude=/usr/share/doc/*'
    --dpkgopt='path-include=/usr/share/doc/*/copyright'
    --dpkgopt='path-exclude=/usr/share/info/*'
    --dpkgopt='path-exclude=/usr/share/locale/*'
    --dpkgopt='path-exclude=/usr/share/lintian/*'
    --aptopt='Acquire::Retries "5"'
)

load_recipe() {
    recipe=$IMAGE_RECIPES/$1
    packages=() parts=() config=()
    assemble() { :; }
    unset -f lay_out
    # shellcheck source=/dev/null
    source "$recipe/recipe.sh"
}

# key_of_image NAME: what it is made of, in 12 characters.
key_of_image() (
    load_recipe "$1"
    {
        printf '%s\n' "$DEBIAN_SUITE" "${MMDEBSTRAP[@]}"
        cd "$recipe" && find . -type f | sort | xargs sha256sum
        for part in "${parts[@]}"; do
            basename "$(directory_of "$part")"
        done
    } | sha256sum | cut -c1-12
)

# layout_of NAME: the folder of its OCI layout, which holds one tag: its key.
layout_of() {
    printf '%s/images/%s-%s' "$CACHE" "$1" "$(key_of_image "$1")"
}

# local_image NAME: the name under which containerd has it before there is a registry.
local_image() {
    printf 'switchyard.dev/%s:%s' "$1" "$(key_of_image "$1")"
}

# digest_of_layout DIRECTORY
digest_of_layout() {
    jq -r '.manifests[0].digest' "$1/index.json"
}

# build_image NAME: nothing if it is there.
build_image() {
    local name=$1 layout lock draft
    layout=$(layout_of "$name")
    [[ ! -d $layout ]] || return 0
    mkdir -p "$CACHE/images" "$CACHE/debs"
    exec {lock}>"$CACHE/images/.lock"
    flock "$lock"
    if [[ ! -d $layout ]]; then
        step "making image $name"
        find "$CACHE/images" -maxdepth 1 -name "$name.draft.*" -exec rm -rf --one-file-system {} +
        draft=$(mktemp -d "$CACHE/images/$name.draft.XXXXXX")
        try_thrice "make image $name" make_anew "$name" "$draft" "${layout##*-}"
        mv -T "$draft/layout" "$layout"
        rm -rf --one-file-system "$draft"
    fi
    exec {lock}>&-
}

# make_anew NAME DRAFT TAG: in a shell of its own, since in one whose end is asked for no command's failure would end it, and
# an image without what could not be installed would be kept.
make_anew() {
    local name=$1 draft=$2 tag=$3
    find "$draft" -mindepth 1 -maxdepth 1 -exec rm -rf --one-file-system {} +
    bash -euo pipefail -c 'source "$0"; make_layout "$@"' "$LIBRARY/all.sh" "$name" "$draft" "$tag" >"$draft/log" 2>&1 || {
        show_end_of "$draft/log"
        return 1
    }
}

make_layout() {
    local name=$1 draft=$2 tag=$3 root=$2/root
    load_recipe "$name"
    if declare -F lay_out >/dev/null; then
        lay_out "$draft/layout" "$tag"
        return
    fi
    mkdir "$root"
    if ((${#packages[@]})); then
        rmdir "$root"
        install_debian "$root" "${packages[@]}"
        config=(--config.env PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "${config[@]}")
    fi
    assemble "$root"
    tar -C "$root" --sort=name --numeric-owner --one-file-system -cf "$draft/layer.tar" .
    rm -rf --one-file-system "$root"
    umoci init --layout "$draft/layout"
    umoci new --image "$draft/layout:$tag"
    umoci raw add-layer --image "$draft/layout:$tag" "$draft/layer.tar"
    umoci config --image "$draft/layout:$tag" --clear=config.cmd "${config[@]}"
    umoci gc --layout "$draft/layout"
    rm "$draft/layer.tar"
}

# install_debian ROOT PACKAGE...: all recipes share one cache of downloads.
install_debian() {
    local root=$1 debs=$CACHE/debs
    shift
    env -u APT_CONFIG TMPDIR="$(dirname "$root")" SOURCE_DATE_EPOCH=1735689600 nice -n 5 \
        "${MMDEBSTRAP[@]}" --include="$(IFS=,; printf '%s' "$*")" \
        --skip=download/empty --skip=essential/unlink \
        --setup-hook="mkdir -p \"\$1/var/cache/apt/archives/partial\"; find '$debs' -name '*.deb' -exec cp -t \"\$1/var/cache/apt/archives\" {} +" \
        --customize-hook="find \"\$1/var/cache/apt/archives\" -name '*.deb' -exec cp -u -t '$debs' {} +" \
        --customize-hook="rm -rf \"\$1\"/var/log/* \"\$1\"/var/cache/*" \
        "$DEBIAN_SUITE" "$root"
}

# from_maven_central GROUP:NAME:VERSION:KIND SHA256: the path of that file, fetched once.
from_maven_central() {
    local coordinates=$1 sum=$2 name version kind file draft
    IFS=: read -r _ name version kind <<<"$coordinates"
    file=$CACHE/maven/$name-$version.$kind
    if [[ ! -f $file ]]; then
        mkdir -p "$CACHE/maven"
        find "$CACHE/maven" -maxdepth 1 -name 'draft.*' -exec rm -rf --one-file-system {} +
        draft=$(mktemp -d "$CACHE/maven/draft.XXXXXX")
        mvn --batch-mode --no-transfer-progress "-Dmaven.repo.local=$draft/repository" \
            org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy \
            "-Dartifact=$coordinates" "-DoutputDirectory=$draft" >&2 || return
        sha256sum --check --quiet <<<"$sum  $draft/${file##*/}" >&2 || return
        mv -T "$draft/${file##*/}" "$file"
        rm -rf --one-file-system "$draft"
    fi
    printf '%s' "$file"
}

build_images() {
    local name
    for name; do
        build_image "$name"
    done
}

# import_image NAME: into the cluster's containerd, for what runs before the registry does.
import_image() {
    local name=$1 image
    image=$(local_image "$name")
    # Known, and with all its layers.
    [[ -z $(ctr_cluster image check -q "name==$image") ]] || return 0
    step "importing image $name"
    tar -C "$(layout_of "$name")" -c . |
        ctr_cluster image import --base-name "${image%:*}" - >/dev/null ||
        fail "could not import image $name"
}

ctr_cluster() {
    ctr --address "$CONTAINERD_SOCKET" --namespace k8s.io "$@"
}
