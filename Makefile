# What a user, a developer and CI call.

CARGO ?= cargo

.PHONY: demo build test monkey fuzz lint soak bench screenshots cast

demo: ## the dashboard on the simulated world
	$(CARGO) run --release --locked -- demo

build: ## the program, optimised
	$(CARGO) build --release --locked

test: ## everything: units, properties, screens, real Kafka and Prometheus where Java is there
	$(CARGO) test --locked

monkey: ## a million random events at the keys: no panic, no approval by accident
	HIGHWATER_MONKEY=1000000 $(CARGO) test --release --locked --lib monkey

fuzz: ## ten minutes of damaged input for each decoder of what comes from outside (nightly toolchain, cargo-fuzz)
	fuzz/run.sh

lint: ## format, clippy with warnings as errors, licences and duplicate versions
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	tests/lint/deny.sh

soak: ## half an hour of faults on three real brokers: SOAK=60 for a minute
	HIGHWATER_SOAK_SECONDS=$${SOAK:-1800} $(CARGO) test --locked --test it real_kafka_soak -- --ignored --nocapture

bench: ## figures of the README
	$(CARGO) bench --locked

screenshots: ## the pictures of the README anew, drawn by the program's own exporter; PNG too where rsvg-convert is there
	HIGHWATER_SCREENSHOTS=write $(CARGO) test --locked --lib screenshots_are_what
	if command -v rsvg-convert >/dev/null; then for f in screenshots/*.svg; do rsvg-convert $$f -o $${f%.svg}.png; done; fi

cast: build ## the recording of the README anew: a walk through the demo
	screenshots/cast.sh $${CARGO_TARGET_DIR:-target}/release/highwater
