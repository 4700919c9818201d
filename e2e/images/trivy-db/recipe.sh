# A vulnerability database of the form that Trivy downloads. It holds what stands in
# vulnerabilities.json, and is written by a program of ours: the real one is on
# ghcr.io, which the cluster cannot reach, and says something else every day.
# shellcheck shell=bash disable=SC2034,SC2154

parts=(trivy-db)

lay_out() {
    "$(program trivy-db)" "$recipe/vulnerabilities.json" "$1" "$2"
}
