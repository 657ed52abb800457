# The commands of the house. `make demo` and `make test` are all a newcomer needs.

SWIFT ?= swift
SLUICE = .build/release/sluice
SOURCES = Package.swift $(wildcard Sources/*) $(wildcard Tests/*)
.DEFAULT_GOAL := help
.PHONY: help setup setup-test build demo serve test test-sanitize lint format bench bench-fetch bench-handshakes bench-observed bench-peers models generate clean

help:            ## Lists these commands
	@sed -n 's/^\([a-z-]*\): *.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 18

setup:           ## Installs system packages and ONNX Runtime; does nothing the second time
	@scripts/setup

setup-test:      ## The same and the servers the tests talk to
	@scripts/setup --test

build: setup     ## The release binary, .build/release/sluice
	@scripts/build

demo: build      ## Starts a gateway with models/, makes real calls, prints the answers, stops
	@scripts/demo

serve: build     ## Starts a gateway with models/ on 127.0.0.1:8443 in the foreground
	@$(SLUICE) serve --listen 127.0.0.1:8443 --models models

test: setup-test ## Every test: rooms, clients, and the whole gateway over TLS
	@scripts/test

test-sanitize: setup-test ## The rooms' tests under the thread and the address sanitizer (nightly)
	@scripts/test-sanitize

lint:            ## Formatting, and what the tidy rules forbid
	@$(SWIFT) format lint --strict --recursive --parallel Package.swift $$(scripts/list-swift)
	@scripts/generate --check

format:          ## Formats every Swift file written by hand
	@$(SWIFT) format format --in-place --recursive --parallel Package.swift $$(scripts/list-swift)

bench: build     ## Throughput beside the bare limit in C; models that sleep and wake (needs 25 GB of disk once)
	@Benchmarks/run
	@Benchmarks/fleet/run

bench-fetch: build setup-test ## A model from an object store, beside curl with the same file
	@Benchmarks/fetch

bench-handshakes: build ## TLS handshakes, full and resumed, beside nginx with the same certificate
	@scripts/setup --bench
	@Benchmarks/handshakes

bench-observed: build ## What metrics, traces and logs cost, and whether a line or a call is lost
	@Benchmarks/observed
	@Benchmarks/metrics
	@Benchmarks/lines

bench-peers: build ## Beside FastAPI, MLServer, Flask and grpc-swift 2; the last one's first build takes ten minutes
	@Benchmarks/peers/setup
	@Benchmarks/peers/run
	@Benchmarks/run-peers

models:          ## Trains models/ again in a pinned Python environment
	@scripts/python-environment models/requirements.txt .venv-models
	@ORT_DISABLE_TELEMETRY=1 .venv-models/bin/python models/build.py

generate:        ## The protobuf code, from proto/
	@scripts/generate

clean:           ## Removes what was built, keeps what was installed
	@rm -rf .build .sluice .venv-*
