# The registry and the Git server in the cluster, their users, and the images
# that the rest of the repository expects in the registry.
# shellcheck shell=bash

CREDENTIALS=$STATE/credentials.env
# Each holds the same users; tools differ in what they read.
PUSH_AUTHFILE=$STATE/registry-push.json
PULL_AUTHFILE=$STATE/registry-pull.json

# What is pushed: an image of ours, and its name in the registry.
declare -A PUBLISHED=(
    [base-git]=base/git:bookworm
    [base-python]=base/python-flask:bookworm
    [kaniko]=kaniko:v1.27.5
)

# render FILE: with ${NAME} replaced for the names that manifests may use.
render() {
    local text name
    text=$(<"$1")
    for name in STATE DNS_ADDRESS NODE_ADDRESS REGISTRY_ADDRESS GIT_ADDRESS \
        IMAGE_REGISTRY IMAGE_GIT_SERVER CREDENTIALS_PRINT; do
        text=${text//"\${$name}"/${!name:-}}
    done
    printf '%s\n' "$text"
}

# apply_once NAME FILE...: unless the very same was applied to this cluster, and is there.
apply_once() {
    local name=$1 text print file
    shift
    text=$(for file in "$@"; do
        render "$file"
        printf -- '---\n'
    done)
    print=$(sha256sum <<<"$text" | cut -c1-16)
    [[ $(cat "$STATE/$name.applied" 2>/dev/null) != "$print" ]] ||
        ! kubectl_admin get -f - <<<"$text" >/dev/null 2>&1 || return 0
    step "applying $name"
    kubectl_admin apply --server-side --force-conflicts -f - <<<"$text" >/dev/null ||
        fail "could not apply $name"
    printf '%s' "$print" >"$STATE/$name.applied"
}

ensure_credentials() {
    [[ -s $CREDENTIALS ]] || (
        umask 077
        step "making passwords"
        {
            for name in REGISTRY_PUSH REGISTRY_PULL GIT_WRITER GIT_READER; do
                printf 'SWITCHYARD_%s_PASSWORD=%s\n' "$name" "$(openssl rand -hex 16)"
            done
        } >"$CREDENTIALS.new"
        mv -f "$CREDENTIALS.new" "$CREDENTIALS"
    )
    # shellcheck source=/dev/null
    source "$CREDENTIALS"
    SWITCHYARD_REGISTRY_PUSH_USER=push SWITCHYARD_REGISTRY_PULL_USER=pull
    SWITCHYARD_GIT_WRITER_USER=alice SWITCHYARD_GIT_READER_USER=reader
    CREDENTIALS_PRINT=$(sha256sum <"$CREDENTIALS" | cut -c1-16)
}

authfile() {
    local auth
    auth=$(printf '%s:%s' "$1" "$2" | base64 -w0)
    printf '{"auths": {"%s": {"auth": "%s"}, "%s": {"auth": "%s"}}}\n' "$REGISTRY" "$auth" "$REGISTRY_ADDRESS:5000" "$auth"
}

# hashed USER PASSWORD: a line for a password file, in bcrypt.
hashed() {
    htpasswd -niBC 5 "$1" <<<"$2" | head -n 1
}

ensure_secrets() {
    [[ $(cat "$STATE/secrets.applied" 2>/dev/null) != "$CREDENTIALS_PRINT" ]] ||
        ! kubectl_admin -n forge get secrets registry-users git-users registry-push >/dev/null 2>&1 || return 0
    step "giving the forge its users"
    (
        umask 077
        authfile push "$SWITCHYARD_REGISTRY_PUSH_PASSWORD" >"$PUSH_AUTHFILE"
        authfile pull "$SWITCHYARD_REGISTRY_PULL_PASSWORD" >"$PULL_AUTHFILE"
        jq -n \
            --arg registry "$(hashed push "$SWITCHYARD_REGISTRY_PUSH_PASSWORD")
$(hashed pull "$SWITCHYARD_REGISTRY_PULL_PASSWORD")" \
            --arg git "$(hashed alice "$SWITCHYARD_GIT_WRITER_PASSWORD")
$(hashed reader "$SWITCHYARD_GIT_READER_PASSWORD")" \
            --rawfile push "$PUSH_AUTHFILE" '
            def secret(name; type; data): {apiVersion: "v1", kind: "Secret",
                metadata: {name: name, namespace: "forge"}, type: type, stringData: data};
            {apiVersion: "v1", kind: "List", items: [
                secret("registry-users"; "Opaque"; {htpasswd: ($registry + "\n")}),
                secret("git-users"; "Opaque"; {htpasswd: ($git + "\n"), writers: "alice\n"}),
                secret("registry-push"; "kubernetes.io/dockerconfigjson"; {".dockerconfigjson": $push})]}' |
            kubectl_admin apply --server-side --force-conflicts -f - >/dev/null
    ) || fail "could not apply the forge's secrets"
    printf '%s' "$CREDENTIALS_PRINT" >"$STATE/secrets.applied"
}

# registry_curl ARGUMENT...: with the push user, the password not among the arguments.
registry_curl() {
    curl -sf --max-time 10 --noproxy '*' --config <(
        printf 'user = "push:%s"\n' "$SWITCHYARD_REGISTRY_PUSH_PASSWORD"
    ) "$@"
}

registry_answers() {
    registry_curl -o /dev/null "http://$REGISTRY_ADDRESS:5000/v2/"
}

git_answers() {
    [[ $(curl -s --max-time 5 --noproxy '*' -o /dev/null -w '%{http_code}' "http://$GIT_ADDRESS/") == 401 ]]
}

# digest_in_registry NAME:TAG: nothing if it is not there.
digest_in_registry() {
    registry_curl --head -H 'Accept: application/vnd.oci.image.manifest.v1+json' \
        -H 'Accept: application/vnd.docker.distribution.manifest.v2+json' \
        "http://$REGISTRY_ADDRESS:5000/v2/${1%:*}/manifests/${1##*:}" |
        tr -d '\r' | sed -n 's/^docker-content-digest: //ip'
}

# publish IMAGE NAME:TAG: push it unless the registry has that very image.
publish() {
    local layout
    layout=$(layout_of "$1")
    [[ $(digest_in_registry "$2") != "$(digest_of_layout "$layout")" ]] || return 0
    step "pushing $2"
    skopeo copy --quiet --preserve-digests --dest-tls-verify=false --authfile "$PUSH_AUTHFILE" \
        "oci:$layout:${layout##*-}" "docker://$REGISTRY_ADDRESS:5000/$2" ||
        fail "could not push $2"
}

ensure_forge() {
    local name IMAGE_REGISTRY IMAGE_GIT_SERVER
    IMAGE_REGISTRY=$(local_image registry)
    IMAGE_GIT_SERVER=$(local_image git-server)
    ensure_credentials
    mkdir -p "$STATE/forge/registry"
    install -d -o 1000 -g 1000 "$STATE/forge/git"
    apply_once forge-namespace "$HERE/forge/namespace.yaml"
    ensure_secrets
    apply_once forge "$HERE/forge/registry.yaml" "$HERE/forge/git.yaml"
    wait_until 90 registry_answers || fail_forge registry
    wait_until 60 git_answers || fail_forge git
    for name in "${!PUBLISHED[@]}"; do
        publish "$name" "${PUBLISHED[$name]}"
    done
}

fail_forge() {
    kubectl_admin -n forge get pods -o wide >&2 || true
    kubectl_admin -n forge get events --sort-by=.lastTimestamp 2>/dev/null | tail -n 8 >&2 || true
    fail "$1 does not answer"
}
