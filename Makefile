# Short names for the harness's commands. All logic is in the harness.
# PROFILE=, SERVERS= (or SERVER=), WORKLOAD=, STAGE= and MANIFEST= select what to measure (separate several with commas).
# BASE= and NEW= name two runs. For `make regress`, BASE= is a git revision.
PROFILE ?= standard
HARNESS := cargo harness
# SERVERS=all also measures servers/more and servers/external.
SELECT := $(if $(or $(SERVERS),$(SERVER)),--server $(or $(SERVERS),$(SERVER)))
# A run has no server named all.
SHOWN := $(if $(filter all,$(SERVERS) $(SERVER)),,$(SELECT))
LOADS := $(if $(WORKLOAD),--workload $(WORKLOAD)) $(if $(STAGE),--stage $(STAGE))
MANIFESTS := $(if $(MANIFEST),--manifest $(MANIFEST))
FILTERS := $(SELECT) $(LOADS) $(MANIFESTS)

# What cargo test runs apart from the suite.
TESTS := --lib --bins --tests --examples

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help tools new-server build check protocol bench-all bench-quick bench-publish smoke regress report compare doctor cost profile footprint capacity ladder patterns soak restart upstream fairness crosscheck microbench bench-driver build-tests test test-slow fuzz lint nightly ci clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' Makefile

tools:
	@scripts/need cargo cc

new-server: tools ## Begin a server that builds and answers /ping (NAME=, TEMPLATE=)
	@$(HARNESS) new $(NAME) $(if $(TEMPLATE),--template $(TEMPLATE))

build: tools ## Build each server separately and copy its binary aside
	@$(HARNESS) build $(SELECT) $(MANIFESTS)

check: tools ## Check each server against the contract
	@$(HARNESS) check $(SELECT) $(MANIFESTS)

protocol: tools ## Test each server with unusual, slow and hostile clients; regenerate PROTOCOL.md and the READMEs
	@$(HARNESS) protocol --fuzz 100000 $(SELECT) $(MANIFESTS) $(if $(SELECT)$(MANIFESTS),,--write)

bench-all: tools ## Measure all servers and print a table (PROFILE=, SERVER=, WORKLOAD=)
	@$(HARNESS) bench --profile $(PROFILE) $(FILTERS)

bench-quick: tools ## Take a first look: one workload, under 3 minutes after the build
	@$(HARNESS) bench --profile quick $(FILTERS)

bench-publish: tools ## Do a long run on a quiet bare-metal machine
	@$(HARNESS) bench --profile publish $(FILTERS)

smoke: tools ## Test the whole pipeline in under a minute after the build; the figures mean nothing
	@$(HARNESS) bench --profile smoke $(FILTERS)

regress: tools ## Check if a change made a server slower (BASE=main SERVER=axum)
	@$(HARNESS) bench --against $(or $(BASE),main) --profile $(PROFILE) $(FILTERS)

report: tools ## Print the newest run's tables again
	@$(HARNESS) report $(SHOWN) $(LOADS)

compare: tools ## Show what changed between two runs (BASE=, NEW=: folders, or names under bench-results)
	@$(HARNESS) compare $(BASE) $(NEW) $(SHOWN) $(LOADS)

doctor: tools ## Show what would distort a measurement on this machine
	@$(HARNESS) doctor

cost: tools ## Count what a request costs: instructions, system calls, allocations
	@$(HARNESS) cost $(SELECT) $(if $(WORKLOAD),--workload $(WORKLOAD)) $(MANIFESTS)

profile: tools ## Show where a server's time goes and where it allocates (SERVER=, WORKLOAD=)
	@$(HARNESS) profile $(SELECT) $(if $(WORKLOAD),--workload $(WORKLOAD)) $(MANIFESTS)

footprint: tools ## Measure memory, threads, time to start and size of each server
	@$(HARNESS) footprint $(SELECT) $(if $(WORKLOAD),--workload $(WORKLOAD)) $(MANIFESTS)

patterns: tools ## Apply steps, ramps, bursts and other load that changes (SERVER=, PATTERN=, RATE=, WORKLOAD=)
	@$(HARNESS) patterns $(SELECT) $(if $(PATTERN),--pattern $(PATTERN)) $(if $(RATE),--rate $(RATE)) $(if $(WORKLOAD),--workload $(WORKLOAD)) $(MANIFESTS)

soak: tools ## Load and rest for hours, and find what leaks (HOURS=8 SERVER=)
	@$(HARNESS) soak $(SELECT) $(if $(HOURS),--hours $(HOURS)) $(if $(WORKLOAD),--workload $(WORKLOAD)) $(MANIFESTS)

capacity: tools ## Find the highest rate at which each server meets an objective (SLO=, SERVER=, WORKLOAD=); 30 minutes
	@$(HARNESS) capacity $(if $(SLO),--slo '$(SLO)') $(SELECT) $(if $(WORKLOAD),--workload $(WORKLOAD)) $(MANIFESTS)

ladder: tools ## Measure over connections, worker threads and rates (CONNECTIONS=16,64 WORKERS=1,2 RATES=1000,5000); 15 minutes
	@$(HARNESS) ladder $(if $(CONNECTIONS),--connections $(CONNECTIONS)) $(if $(WORKERS),--workers $(WORKERS)) $(if $(RATES),--rates $(RATES)) \
		$(SELECT) $(if $(WORKLOAD),--workload $(WORKLOAD)) $(MANIFESTS)

restart: tools ## Restart each server under load and count what is lost (SERVER=, WORKLOAD=, RATE=)
	@$(HARNESS) restart $(SELECT) $(if $(WORKLOAD),--workload $(WORKLOAD)) $(if $(RATE),--rate $(RATE)) $(MANIFESTS)

upstream: tools ## Have each server call a dependency, and measure what latency it adds (SERVER=, DELAY=, RATE=); 4 minutes
	@$(HARNESS) upstream $(SELECT) $(if $(DELAY),--delay $(DELAY)) $(if $(RATE),--rate $(RATE)) $(MANIFESTS)

fairness: tools ## Show whether the servers run under the same conditions
	@$(HARNESS) fairness $(SELECT) $(MANIFESTS)

microbench: tools ## Measure parts by themselves: handlers, routers, middleware, JSON, parsers; 5 minutes after the builds
	@$(HARNESS) microbench $(SELECT) $(if $(SELECT),,--write)

crosscheck: tools ## Compare our load generator with wrk, oha and hey, if installed (SERVER=)
	@$(HARNESS) crosscheck $(SELECT) $(MANIFESTS)

bench-driver: tools ## Measure the load generator's accuracy and cost against its goals; 12 minutes
	@$(HARNESS) crosscheck --server $(if $(SERVER),$(SERVER),hyper,axum) $(MANIFESTS) --tool epoll,io_uring,bare,wrk,oha --rounds 9 -d 1s \
		--syscalls --send-lag 1000,10000,30000 --accuracy

# Tests mostly wait for servers, so on few CPUs more of them run at a time than there are CPUs.
test: export RUST_TEST_THREADS ?= $(shell n=$$(nproc); echo $$((n < 4 ? 2 * n : n)))
build-tests test test-slow: export CARGO_INCREMENTAL ?= 0
test: tools build-tests ## Run the tests of the harness and of the five servers
	@# The suite mostly waits for servers, so the other tests run next to it. Their output comes last.
	@log=$$(mktemp); RUST_TEST_THREADS=$$(nproc) cargo test --locked --no-fail-fast $(TESTS) >"$$log" 2>&1 & others=$$!; \
		cargo test --locked --test suite; suite=$$?; wait $$others; status=$$?; cat "$$log"; rm "$$log"; \
		[ $$suite = 0 ] && [ $$status = 0 ]

# Without flags cargo builds the examples as programs, which the suite starts; with --examples it builds their tests.
build-tests: tools
	cargo test --locked --no-run
	cargo test --locked --no-run $(TESTS) --test suite

test-slow: tools build-tests ## Run the tests that take a minute each: they build servers, count instructions, search for crashes
	cargo test --locked --test suite -- --ignored cli:: protocol:: referee:: --skip no_leak_is_reported

fuzz: tools ## Fuzz the parsers with a million responses and workloads each (needs cargo-fuzz; scripts/fuzz --help)
	@scripts/fuzz

lint: tools ## Check format, clippy and docs, with warnings denied
	cargo fmt --all --check
	cargo clippy --all-targets --locked -- -D warnings
	cargo clippy -p harness --test gates --test suite --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --locked

# The optional Rust servers, without those that are known to fail a check: see servers/more/README.md.
MORE := $(filter-out README.md rocket trillium,$(notdir $(wildcard servers/more/*)))

nightly: tools ## The slow checks: every gate of a trial, generated requests, the protocol matrix, mutated requests
	cargo test --workspace --test gates --examples --locked
	@$(MAKE) test-slow
	cargo test --locked --test suite -- --ignored no_leak_is_reported
	@$(HARNESS) check $(addprefix --server ,$(MORE))
	@scripts/schemathesis
	@$(HARNESS) protocol --fuzz 100000 $(SELECT) $(MANIFESTS)

# `test` has built a harness already. No figure is judged, so it needn't be an optimized one.
ci: HARNESS := $(or $(CARGO_TARGET_DIR),target)/debug/harness
# Nor need the servers be: optimizing them takes minutes. Their record says so.
ci: FAST := CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 CARGO_PROFILE_RELEASE_OPT_LEVEL=1 CARGO_PROFILE_RELEASE_DEBUG=0
ci: build-tests ## Run lint, test and smoke, as CI does; GitHub's workflow also runs test-slow, beside them
	@# Tests mostly wait, so clippy and the servers of the smoke run are built meanwhile; a little later, as cargo
	@# holds a lock while it sees that the tests are built.
	@log=$$(mktemp); { sleep 15; $(FAST) $(HARNESS) build && $(MAKE) lint; } >"$$log" 2>&1 & beside=$$!; \
		$(MAKE) test; tested=$$?; wait $$beside; built=$$?; cat "$$log"; rm "$$log"; \
		[ $$tested = 0 ] && [ $$built = 0 ]
	@$(FAST) $(MAKE) smoke HARNESS=$(HARNESS)

clean: ## Remove build output; bench-results stays
	cargo clean
