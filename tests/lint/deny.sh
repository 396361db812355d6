#!/usr/bin/env bash
# Licences, sources and banned crates by cargo-deny, offline. Without cargo-deny it says so; with CI=true that fails.
set -euo pipefail
if ! command -v cargo-deny >/dev/null; then
    if [ "${CI:-}" = true ]; then
        echo "cargo-deny is missing: cargo install --locked cargo-deny" >&2
        exit 1
    fi
    echo "SKIPPED licences and bans: cargo-deny is not installed (cargo install --locked cargo-deny)"
    exit 0
fi
cargo deny --offline --log-level error check licenses bans sources
