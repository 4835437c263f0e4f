# Go, git, make and bash are enough. Everything else is fetched by the go command,
# and the servers for the tests by scripts/servers.sh.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help

# The version of the linter is stated here and nowhere else.
GOLANGCI_LINT := go run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0

export PORT ?= 8080
DATA ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/cloakroom-accounts
MIN_COVERAGE ?= 90
FUZZTIME ?= 30s
SOAK ?= 10m
SOAK_MEMORY ?= 1h

.PHONY: help run test quick browser interop servers-up servers-down vet lint fmt tidy tidy-check api api-check docs docs-check cover fuzz timing faults-back soak soak-memory bench bench-gate check rehearse findings

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## start the example app; PORT=8080 chooses the port, STORE=memory what its sessions are in; it keeps accounts in DATA=folder
	@cd examples && go run ./accounts -addr 127.0.0.1:$(PORT) -data "$(DATA)" -store "$(STORE)"

# Without the paths of folders in what is compiled, another clone finds it in the build cache, and so do tests that build
# modules elsewhere: nothing is compiled for them alone.
export GOFLAGS := $(strip $(shell go env GOFLAGS) -trimpath)

# In both lists the packages that take longest come first: else they would go on alone when all others are done.
LONGEST := ./core ./stores/mongo ./stores/sqlite ./stores/valkey

# The race detector has nothing to find in these, and makes them take several times as long: they do one thing after
# the other, or repeat on another server, in another process or in another order what packages of the others do; or they
# read code and documents, or start programs.
ORDERLY := ./tests/browser ./tests/valkey ./tests/mongo ./tests/sql ./tests/valkeytopology ./cmd/cloakroom ./tests/monitoring ./predecessors ./tests/interleavings ./interop ./examples ./tests/adapters ./tests/consumer \
	./bench ./bench/turns ./tests/crashes ./tests/constanttime ./tests/documents ./tests/faultsback ./tests/imports ./tests/leaks ./tests/reliability ./tests/servers \
	./tests/standards

test: ## run all tests of all modules, with the race detector; PKG=./core/... runs a part
	@race=$$(scripts/race-flag.sh); scripts/node-check.sh; browsers=$$(scripts/chromium.sh); set -a; eval "$$browsers"; set +a; \
		scripts/servers.sh run scripts/test.sh "$$race" $(or $(PKG),$(LONGEST) work -- $(ORDERLY))

quick: ## core, the store in memory and one adapter, short, without servers and the race detector: while you work
	@go test -short ./core ./core/internal/... ./core/sessiontest ./stores/memory ./ginsession

browser: ## run the tests of examples/accounts in a browser; PICTURES=-update takes the pictures in docs/images anew
	@race=$$(scripts/race-flag.sh); scripts/node-check.sh; browsers=$$(scripts/chromium.sh); set -a; eval "$$browsers"; set +a; \
		TESTSERVERS="programs mongo" scripts/servers.sh run sh -c "cd tests/browser && set -x && go test $$race -count=1 . $(PICTURES)"

# Without a package as argument, go test shows what the tests print.
interop: ## run the tests beside the real express-session; needs Node.js and npm
	@race=$$(scripts/race-flag.sh); scripts/node-check.sh; \
		TESTSERVERS="valkey mongo" scripts/servers.sh run sh -c "cd interop && set -x && go test $$race -count=1"

servers-up: ## start the servers that tests need, and leave them running
	@scripts/servers.sh up

servers-down: ## stop them
	@scripts/servers.sh down

vet: ## go vet in all modules
	go vet work

lint: ## golangci-lint in all modules: style, import rules, formatting
	@scripts/each-module.sh $(GOLANGCI_LINT) run ./...

fmt: ## format all modules as lint wants it
	@scripts/each-module.sh $(GOLANGCI_LINT) fmt ./...

tidy: ## go mod tidy in all modules
	@GOWORK=off scripts/each-module.sh go mod tidy

tidy-check: ## tell whether a go.mod or go.sum is out of date
	@GOWORK=off scripts/each-module.sh go mod tidy -diff

api: ## write the exported API down in api/
	@go run ./tests/apilist -write

api-check: ## tell whether the exported API differs from api/
	@go run ./tests/apilist

docs: ## write docs/security.md, and the table in docs/reliability.md, from the tests
	@go run ./tests/standards -write
	@go run ./tests/reliability -write

docs-check: ## tell whether links lead somewhere, and whether the commands, names and code in the documents are right
	@cd tests && go test ./documents
	@cd examples && go test -run 'TestTheDocuments|TestTheCommands|TestTheRecipes' .

cover: ## statement coverage of core, which must not fall below 90%
	@scripts/cover.sh $(MIN_COVERAGE)

fuzz: ## run every fuzz test for FUZZTIME=30s; FUZZ=Cookie runs those with that in their name
	@scripts/fuzz.sh $(FUZZTIME) $(FUZZ)

timing: ## look for a difference in time between forged signatures that are wrong at the first and at the last character
	@cd tests && go run ./constanttime

faults-back: ## put faults that were there back into the code, one at a time, and fail unless the tests catch each; ONLY=logout picks some
	@go run ./tests/faultsback $(if $(ONLY),-only "$(ONLY)")

soak: ## the long forms of the tests behind docs/reliability.md, with SOAK=10m of histories on each store
	@TESTSERVERS="valkey cluster programs mongo mongod postgresql postgresql-old postgresql-server pgbouncer mariadb mariadb-new mariadb-server mysql" scripts/servers.sh run scripts/soak.sh $(SOAK)

soak-memory: ## serve sessions for SOAK_MEMORY=1h and see whether memory and goroutines stay flat
	@TESTSERVERS="valkey mongo" scripts/servers.sh run sh -c 'cd tests && go run ./soakmemory -for $(SOAK_MEMORY)'

findings: ## run the scripts in findings/, which show surprises of other software: twenty minutes or more, and the network
	@failed=''; for f in findings/*.sh; do echo "=== $$f"; bash $$f || failed+=" $$f"; done; [[ -z $$failed ]] || { echo "changed:$$failed"; exit 1; }

bench: ## measure Cloakroom beside others, which takes some 25 minutes; BENCH=-short makes that a minute, BENCH=-large measures ten million sessions
	@TESTSERVERS='valkey mongo postgresql programs' scripts/servers.sh run sh -c 'cd bench && go run . -readme ../README.md $(BENCH)'

bench-gate: ## fail if a request allocates more, or waits for more round trips, than bench/gate.csv allows; GATE=-update rewrites it
	@TESTSERVERS='valkey mongo postgresql' scripts/servers.sh run go test -count=1 -run Gate ./bench $(GATE)

check: test bench-gate vet lint tidy-check api-check cover ## all of the above that check

rehearse: ## try the next release from outside, without releasing
	@scripts/rehearse.sh
