#!/usr/bin/env bash
# Highwater beside other readers of consumer lag, one after the other on the same real cluster: requests of a refresh by
# the brokers' own counters, its time by the reader's own word, processor time and resident memory.
#
#   benches/peers/run.sh [GROUPS] [PARTITIONS] [SECONDS]      2000 groups of 10 partitions, 60 s each, unless told otherwise
#
# Three brokers on loopback (tests/real/kafka.sh, Apache Kafka 4.3.1). klag-exporter is run where it is installed
# (`cargo install klag-exporter`; needs cmake and the headers of libcurl and libsasl2). kminion and kafka_exporter could not
# be had from a registry of packages: not measured.
set -euo pipefail
cd "$(dirname "$0")/../.."

groups=${1:-2000} partitions=${2:-10} seconds=${3:-60}
target=${CARGO_TARGET_DIR:-target}/release
kafka=$PWD/tests/real/kafka.sh
work=$(mktemp -d)
started=()
finish() {
  for pid in "${started[@]}"; do kill "$pid" 2>/dev/null || true; done
  "$kafka" stop "$work/kafka" || true
  rm -rf "$work"
}
trap finish EXIT

# What a reader of groups asks for. Brokers among themselves ask for other things.
KINDS='ApiVersions|Metadata|DescribeCluster|FindCoordinator|ListGroups|DescribeGroups|ConsumerGroupDescribe|OffsetFetch|ListOffsets|DescribeConfigs|DescribeLogDirs|DescribeProducers|DescribeTopicPartitions|OffsetForLeaderEpoch'

counted() { # requests so far, "KIND COUNT" a line, all brokers together
  local port
  while read -r port; do curl -s "http://127.0.0.1:$port/metrics"; done <"$work/kafka/jmx" |
    sed -nE "s/^kafka_requests_total\{.*request=\"($KINDS)\".*\} ([0-9.E]+)\$/\1 \2/p" |
    awk '{ n[$1] += $2 } END { for (k in n) print k, n[k] }' | sort
}

asked() { # what lies between two counts, and its sum
  join -a 2 -e 0 -o 0,1.2,2.2 "$1" "$2" |
    awk -v refreshes="$3" '{ d = $3 - $2; sum += d; if (d) kinds = kinds " " $1 " " d }
      END { printf "%s\t(%s in all)\n", refreshes ? sprintf("%.0f", sum / refreshes) : "-", substr(kinds, 2) }'
}

usage() { # processor seconds and resident kB of a process
  awk '{ print ($14 + $15) / 100 }' "/proc/$1/stat"
  awk '/^VmRSS/ { print $2 }' "/proc/$1/status"
}

median() { sort -g | awk '{ v[NR] = $1 } END { print NR ? v[int((NR + 1) / 2)] : "-" }'; }

row() { printf '| %s | %s | %s s | %s %% | %s MB |\n' "$@"; }

measure() { # PID: counts for a while; leaves the counts before and after, CPU in percent and RSS in MB
  local usage
  counted >"$work/before"
  mapfile -t usage < <(usage "$1")
  local cpu=${usage[0]}
  sleep "$seconds"
  mapfile -t usage < <(usage "$1")
  counted >"$work/after"
  CPU=$(awk -v a="$cpu" -v b="${usage[0]}" -v s="$seconds" 'BEGIN { printf "%.0f", 100 * (b - a) / s }')
  RSS=$((usage[1] / 1024))
}

cargo build --release --locked --bin highwater --example load
"$kafka" start "$work/kafka" 3 >"$work/kafka.log" 2>&1
bootstrap=$(cat "$work/kafka/bootstrap")
"$target/examples/load" topic "$bootstrap" many "$partitions" 3
for try in 1 2 3 4 5; do # the first commit makes the topic of the offsets, whose coordinators load for a moment
  "$target/examples/load" groups "$bootstrap" many "$partitions" "$groups" && break
  [ "$try" -lt 5 ] || exit 1
  sleep 3
done

echo "$groups groups of $partitions partitions on 3 brokers, $seconds s each:"
echo
echo '| reader | requests a refresh | time of a refresh | processor | memory |'
echo '|---|---|---|---|---|'

XDG_STATE_HOME=$work/state script -qfc "stty rows 60 cols 200; exec '$target/highwater' watch -v --log-file '$work/log' --kafka $bootstrap" \
  /dev/null >/dev/null 2>&1 </dev/null &
started+=($!)
sleep 3
pid=$(pgrep -P "$!" | head -1)
started+=("$pid")
sleep 27
lines=$(wc -l <"$work/log")
measure "$pid"
refreshes=$(tail -n +"$lines" "$work/log" | sed -nE 's/.* groups by [0-9]+ requests in ([0-9.]+) s.*/\1/p' | tee "$work/times" | wc -l)
row highwater "$(asked "$work/before" "$work/after" "$refreshes" | cut -f1)" "$(median <"$work/times")" "$CPU" "$RSS"
asked "$work/before" "$work/after" "$refreshes" | cut -f2 >"$work/notes"
kill "$pid"

if command -v klag-exporter >/dev/null; then
  cat >"$work/klag.toml" <<CONF
[exporter]
poll_interval = "5s"
http_port = 38765
http_host = "127.0.0.1"
granularity = "partition"
[[clusters]]
name = "bench"
bootstrap_servers = "$bootstrap"
CONF
  RUST_LOG=klag_exporter=debug klag-exporter --config "$work/klag.toml" >"$work/klag.log" 2>&1 &
  pid=$!
  started+=("$pid")
  sleep 30
  lines=$(wc -l <"$work/klag.log")
  measure "$pid"
  refreshes=$(tail -n +"$lines" "$work/klag.log" | grep -c 'Batched collection completed' || true)
  time=$(curl -s http://127.0.0.1:38765/metrics | sed -nE 's/^kafka_lag_exporter_scrape_duration_seconds(\{[^}]*\})? ([0-9.e-]+)$/\2/p' | head -1)
  row klag-exporter "$(asked "$work/before" "$work/after" "$refreshes" | cut -f1)" "${time:-?}" "$CPU" "$RSS"
  asked "$work/before" "$work/after" "$refreshes" | cut -f2 >>"$work/notes"
  kill "$pid"
fi

echo
echo 'Requests by kind, in the same order:'
cat "$work/notes"
