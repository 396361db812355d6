#!/bin/sh
# Draws the real screens of the demo as SVG, with the program's own exporter: what the README shows is what it does.
# Where rsvg-convert is there (Debian: librsvg2-bin) each is a PNG, too.
# HIGHWATER names the binary; without it the newest build is used, or one is made.
set -eu
cd "$(dirname "$0")/.."

binary=${HIGHWATER:-$(ls -t "${CARGO_TARGET_DIR:-target}"/release/highwater "${CARGO_TARGET_DIR:-target}"/debug/highwater 2>/dev/null | head -n 1)}
if [ -z "$binary" ]; then
    "${CARGO:-cargo}" build --release --locked
    binary=${CARGO_TARGET_DIR:-target}/release/highwater
fi

mkdir -p screenshots
for view in overview workload kafka ml actions alerts pipeline log backtest; do
    "$binary" snapshot --demo fraud --workload fraud-scorer --settle 15 --view "$view" --size 120x36 --format svg >"screenshots/$view.svg.new"
    mv "screenshots/$view.svg.new" "screenshots/$view.svg"
    echo "screenshots/$view.svg $(wc -c <"screenshots/$view.svg") bytes"
    if command -v rsvg-convert >/dev/null; then
        rsvg-convert "screenshots/$view.svg" -o "screenshots/$view.png"
    fi
done
