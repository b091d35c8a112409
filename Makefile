# One command each for whoever works here; `make help` explains them.
.DEFAULT_GOAL := help
SHELL := bash
CARGO ?= cargo

# Receivers on this machine, as in the README's examples, are called only because of this line.
LOCAL_RECEIVERS := 127.0.0.0/8,::1/128

# How long each fuzz target runs, and which do.
SECONDS_EACH ?= 600
FUZZ_TARGETS ?= addresses canonical_json headers cursors documents tokens requests frames

.PHONY: help run test check schema bench attacks soak fmt fuzz fuzz-documents

help: ## Explain these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## Build in release and serve on 127.0.0.1:8080 with SQLite in ./data; receivers on this machine may be called
	$(CARGO) build --release --locked --package hookgraph-server
	@echo "Webhooks may call receivers on this machine ($(LOCAL_RECEIVERS)): make run sets allowed_addresses for its examples."
	HOOKGRAPH_ALLOWED_ADDRESSES=$${HOOKGRAPH_ALLOWED_ADDRESSES-$(LOCAL_RECEIVERS)} target/release/hookgraph serve

test: ## Install what is missing and run every test: Rust and JavaScript, on SQLite and on a throw-away PostgreSQL
	scripts/test.sh

check: ## What CI checks beside the tests: format, lints, documentation, licences, the committed schemas
	scripts/check.sh

schema: ## Rewrite schema.graphql and payload-schema.graphql from the code
	scripts/schema.sh --write

bench: ## Measure the road, docs/benchmarks.md: CASE=one,ten DATABASE=sqlite|postgres RUNS=5 SECONDS_PER_RUN=5 FULL=1
	$(CARGO) build --release --locked --package hookgraph-server --package hookgraph-bench
	CASE="$(CASE)" DATABASE="$(DATABASE)" RUNS="$(RUNS)" SECONDS_PER_RUN="$(SECONDS_PER_RUN)" FULL="$(FULL)" \
		target/release/hookgraph-bench run

attacks: ## Measure what each published attack costs the server, in CPU time: docs/benchmarks.md
	$(CARGO) build --release --locked --package hookgraph-server
	HOOKGRAPH_BINARY=target/release/hookgraph node bench/attacks.mjs

soak: ## Trouble at length, docs/failure.md: kill loops, PostgreSQL restarted, cut off and full: CASES=kill,silent ROUNDS=60 PER_SECOND=200
	$(CARGO) build --release --locked --package hookgraph-server
	HOOKGRAPH_BINARY=$${HOOKGRAPH_BINARY-$(CURDIR)/target/release/hookgraph} CASES="$(CASES)" ROUNDS="$(ROUNDS)" \
		PER_SECOND="$(PER_SECOND)" $(CARGO) run --quiet --locked --package hookgraph-tests --bin hookgraph-soak

fmt: ## Format the code
	$(CARGO) fmt --all

fuzz: ## Look for bytes that break what the fuzz targets hold, SECONDS_EACH a target; needs cargo install cargo-fuzz
	cd fuzz && for target in $(FUZZ_TARGETS); do mkdir -p found/$$target && RUSTC_BOOTSTRAP=1 $(CARGO) fuzz run --features schema,server \
		$$target found/$$target corpus/$$target -- -max_total_time=$(SECONDS_EACH) -timeout=10 -rss_limit_mb=2048 || exit 1; done

fuzz-documents: ## Hold random documents of both schemas against graphql-js for SECONDS_EACH, from another seed each time
	$(CARGO) build --workspace --locked --bin hookgraph --example judge_documents
	cd tests/js && DOCUMENTS_SEED=$${DOCUMENTS_SEED-$$RANDOM} DOCUMENTS_SECONDS=$(SECONDS_EACH) node --test random_documents.test.mjs
