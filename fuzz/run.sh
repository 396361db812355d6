#!/usr/bin/env bash
# Throws bytes at every decoder of what comes from outside, SECONDS each (600 by default), under libFuzzer; then keeps of
# each corpus the KEPT smallest inputs that cover anything new: `tests/corpora.rs` reads them in every test run. Ends with
# an error at the first panic, at 10 s over one input or at 512 MiB.
#
#   fuzz/run.sh [SECONDS [TARGET...]]
#
# Needs the nightly toolchain and cargo-fuzz (`cargo install cargo-fuzz`). Without a sanitizer: the code under test has
# no unsafe blocks, what is looked for are panics (overflows included), hangs and memory.
set -euo pipefail
cd "$(dirname "$0")"
KEPT=150
seconds=${1:-600}
shift || true
targets=("$@")
[ ${#targets[@]} -gt 0 ] || mapfile -t targets < <(cd fuzz_targets && basename -s .rs ./*.rs)

# What a target begins with: files of the project that are of its kind.
seeds() {
    case $1 in
    exposition) ls ../tests/fixtures/exporters/*.prom ;;
    configuration) ls ../config/{demo,example}.toml ;;
    pack) ls ../config/packs/*.toml ;;
    scenario) ls ../benches/arena/cases/*.toml ../config/scenarios/*.toml ;;
    manifest | kubeconfig) ls ../config/*.yaml ../tests/fixtures/*/*.yaml ;;
    series) ls ../tests/fixtures/*/*.csv ;;
    esac
}

cargo +nightly fuzz build --fuzz-dir . --sanitizer none
for target in "${targets[@]}"; do
    kept=corpus/$target found=artifacts/$target work=$(mktemp -d)
    mkdir -p "$kept" "$found"
    for file in $(seeds "$target" 2>/dev/null); do cp "$file" "$work/"; done
    run() {
        cargo +nightly fuzz run --fuzz-dir . --sanitizer none "$target" "$@" -- \
            -max_len=16384 -timeout=10 -rss_limit_mb=512 -malloc_limit_mb=256 "${options[@]}"
    }
    options=(-max_total_time="$seconds" -print_final_stats=1)
    echo "== $target, $seconds s"
    run "$work" "$kept" 2>&1 | grep -E '^stat::|panicked|ERROR|SUMMARY|Test unit' || true
    [ -z "$(ls "$found")" ] || { echo "$target: $found/$(ls "$found" | head -1) is the input" >&2; exit 1; }
    options=(-set_cover_merge=1)
    fresh=$(mktemp -d)
    run "$fresh" "$work" "$kept" >/dev/null 2>&1
    (cd "$fresh" && ls -Sr | tail -n +$((KEPT + 1)) | xargs -r rm)
    rm -rf "$kept" "$work" && mv "$fresh" "$kept"
    echo "$target: $(ls "$kept" | wc -l) inputs kept, $(du -sk "$kept" | cut -f1) KiB"
done
