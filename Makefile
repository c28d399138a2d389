# One-line names for the harness's verbs; the harness itself holds all logic.
# PROFILE=, SERVER=, WORKLOAD=, STAGE= and MANIFEST= narrow or widen what is measured (commas for
# several). BASE= and NEW= name two runs; for `make regress`, BASE= is a git revision.
PROFILE ?= standard
HARNESS := cargo harness
SERVERS := $(if $(SERVER),--server $(SERVER))
LOADS := $(if $(WORKLOAD),--workload $(WORKLOAD)) $(if $(STAGE),--stage $(STAGE))
MANIFESTS := $(if $(MANIFEST),--manifest $(MANIFEST))
FILTERS := $(SERVERS) $(LOADS) $(MANIFESTS)

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help tools build check protocol bench-all bench-quick bench-publish smoke regress report compare doctor crosscheck bench-driver test fuzz lint ci clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' Makefile

tools:
	@scripts/need cargo cc

build: tools ## Build each server alone and copy its binary aside
	@$(HARNESS) build $(SERVERS) $(MANIFESTS)

check: tools ## Hold each server against the contract
	@$(HARNESS) check $(SERVERS) $(MANIFESTS)

protocol: tools ## What each server does with unusual, slow and hostile clients; renews the documents
	@$(HARNESS) protocol --fuzz 100000 $(SERVERS) $(MANIFESTS) $(if $(SERVERS)$(MANIFESTS),,--write)

bench-all: tools ## Compare all servers; the table is the result (PROFILE=, SERVER=, WORKLOAD=)
	@$(HARNESS) bench --profile $(PROFILE) $(FILTERS)

bench-quick: tools ## A first look: one workload, under 3 minutes after the build
	@$(HARNESS) bench --profile quick $(FILTERS)

bench-publish: tools ## The long run, for a quiet bare-metal machine
	@$(HARNESS) bench --profile publish $(FILTERS)

smoke: tools ## Prove the whole pipeline in under a minute after the build; judges no figure
	@$(HARNESS) bench --profile smoke $(FILTERS)

regress: tools ## Did this change make a server slower? (BASE=main SERVER=axum)
	@$(HARNESS) bench --against $(or $(BASE),main) --profile $(PROFILE) $(FILTERS)

report: tools ## The newest run's tables again
	@$(HARNESS) report $(SERVERS) $(LOADS)

compare: tools ## What changed between two runs (BASE=, NEW=: folders, or names under bench-results)
	@$(HARNESS) compare $(BASE) $(NEW) $(FILTERS)

doctor: tools ## What this machine is and what spoils a measurement on it
	@$(HARNESS) doctor

crosscheck: tools ## Our load generator beside wrk, oha and hey, those installed (SERVER=)
	@$(HARNESS) crosscheck $(SERVERS) $(MANIFESTS)

bench-driver: tools ## What the load generator promises, each goal beside its figure; 12 minutes
	@$(HARNESS) crosscheck --server $(if $(SERVER),$(SERVER),hyper,axum) $(MANIFESTS) --tool epoll,io_uring,bare,wrk,oha --rounds 9 -d 1s \
		--syscalls --send-lag 1000,10000,30000 --accuracy

test: tools ## Every test of the workspace
	cargo test --workspace --locked --no-fail-fast

fuzz: tools ## A million mutated responses and workloads each (needs cargo-fuzz; scripts/fuzz --help)
	@scripts/fuzz

lint: tools ## Format, clippy and docs, warnings denied
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked

ci: lint test smoke ## What CI runs

clean: ## Remove everything built; bench-results stays
	cargo clean
