# What the example application is built on. Builds cannot reach a package
# registry, so what the application needs is here.
# shellcheck shell=bash disable=SC2034,SC2154

packages=(python3-flask python3-pytest python3-pip gunicorn ca-certificates)
config=(--config.cmd /usr/bin/python3)
