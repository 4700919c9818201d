# What can be done here; `make` alone lists it. Only the targets below that say so start or touch a cluster, and it is
# always the one that `make cluster` makes: whatever KUBECONFIG points at is never used. (The demo alone can be sent
# elsewhere, by name.)
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
unexport KUBECONFIG

# From Make's own point of view none of this is a file.
.PHONY: help cluster cluster-down demo test test-unit test-e2e test-all model faults bench generate lint image install toolchain

help: ## List what can be made
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo "Settings: with SWITCHYARD_CONTEXT and SWITCHYARD_REGISTRY the demo runs on a cluster of yours, and says what else it"
	@echo "needs. BENCH=build or BENCH=cutover runs one bench; BENCH=\"cutover --switches 10\" a short one, which publishes nothing."
	@echo "SHARD=1/3 runs every third suite of test-all, SUITES=\"kills trivy\" these."

toolchain: ## Check that Rust and Go are there in the versions this needs
	@e2e/run/toolchain

cluster: toolchain ## Start the test cluster on this machine, or repair it (about 12 minutes the first time, then 20 s)
	@e2e/cluster/up

cluster-down: ## End the test cluster and take away all that it put on this machine (what was built stays cached)
	@e2e/cluster/down

demo: toolchain ## From nothing to a live application by git push, then a switch under load; leaves the cluster up
	@e2e/run/demo

test: toolchain ## Everything that must pass before a merge: lint, unit, then end to end on the test cluster
	@e2e/run/test lint unit e2e

test-unit: toolchain ## Unit, golden and model tests: no cluster
	@e2e/run/test unit

test-e2e: toolchain ## The end-to-end tests, on the test cluster
	@e2e/run/test e2e

test-all: toolchain ## `test`, every kill, larger models, the cluster's crash drill, real Prometheus, Trivy and SonarQube, examples/streamlit; goes on where it was
	@e2e/run/all $(SUITES)

model: toolchain ## Explore the model of a Rollout further than the unit tests do
	@e2e/run/test model

faults: toolchain ## Every fault at every write of every workload, on a control plane of its own with played pods (docs/faults.md)
	@e2e/run/faults

# Only what a run of full length says is published.
bench: BENCH ?= --publish
bench: toolchain ## Builds beside bare Jobs; then 200 switches under 2 million requests, and controls; about 50 minutes
	@e2e/run/bench $(BENCH)

generate: toolchain ## Write the CRDs from crates/api
	@cargo build --quiet --workspace --bin xtask && target/debug/xtask crds

lint: toolchain ## Formatting, clippy without a warning, generated files current, shell scripts, dependencies
	@e2e/run/test lint

image: toolchain ## Build the operator's image and push it to the test cluster's registry
	@e2e/run/install image

install: toolchain ## Install the operator and its CRDs in the test cluster by their charts
	@e2e/run/install
