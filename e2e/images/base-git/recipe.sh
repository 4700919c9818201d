# What the operator's image is built on: the worker in it clones with git.
# shellcheck shell=bash disable=SC2034,SC2154

packages=(git ca-certificates openssh-client tini)
config=(--config.cmd /bin/bash)
