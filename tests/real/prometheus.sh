#!/bin/sh
# Runs a real Prometheus on loopback until standard input ends, which it also does when whoever started us is killed.
#   prometheus.sh PORT FOLDER     FOLDER holds prometheus.yml and may hold web.yml (TLS); it is removed at the end
# The program is taken from PATH, else unpacked (never installed) from Debian's package into the tests' cache.
# Exit 3: there is no Prometheus to be had; the reason is the last line of standard error.
set -eu
port=$1 folder=$2
cache=${HIGHWATER_TEST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/highwater-tests}/prometheus

unpack() {
    command -v apt-get >/dev/null && command -v dpkg >/dev/null || { echo "neither prometheus nor apt-get is here" >&2; exit 3; }
    mkdir -p "$cache"
    fresh=$(mktemp -d "$cache/fresh.XXXXXX")
    (cd "$fresh" && apt-get download prometheus >/dev/null 2>&1) || { rm -rf "$fresh"; echo "apt-get download prometheus failed" >&2; exit 3; }
    dpkg -x "$fresh"/prometheus_*.deb "$fresh/unpacked"
    mv -T "$fresh/unpacked" "$cache/unpacked" 2>/dev/null || true # somebody else was first
    rm -rf "$fresh"
}

program=$(command -v prometheus || true)
if [ -z "$program" ]; then
    program=$cache/unpacked/usr/bin/prometheus
    [ -x "$program" ] || unpack
    [ -x "$program" ] || { echo "no usable program at $program" >&2; exit 3; }
fi

web=
[ ! -e "$folder/web.yml" ] || web=--web.config.file=$folder/web.yml
# shellcheck disable=SC2086 # no web.yml, no argument
"$program" $web --web.listen-address="127.0.0.1:$port" --storage.tsdb.path="$folder/data" \
    --config.file="$folder/prometheus.yml" --log.level=warn --enable-feature=native-histograms </dev/null &
pid=$!
trap 'kill "$pid" 2>/dev/null; wait "$pid" 2>/dev/null; rm -rf "$folder"' EXIT
trap 'exit 0' INT TERM HUP
cat >/dev/null
