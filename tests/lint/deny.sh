#!/usr/bin/env bash
# Licences, sources and banned crates by cargo-deny. Advisories are not asked here: their database is fetched from
# elsewhere. Without cargo-deny it says so; with CI=true that fails.
set -euo pipefail
if ! command -v cargo-deny >/dev/null; then
    if [ "${CI:-}" = true ]; then
        echo "cargo-deny is missing: cargo install --locked cargo-deny" >&2
        exit 1
    fi
    echo "SKIPPED licences and bans: cargo-deny is not installed (cargo install --locked cargo-deny)"
    exit 0
fi
cargo fetch --locked --quiet # every platform's crates: their licences count too
cargo deny --offline --log-level error check licenses bans sources
