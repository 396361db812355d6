#!/usr/bin/env bash
# A target for the `command` actuator: keeps N slow consumers running.
#   scale.sh DIR get              prints the count asked for
#   scale.sh DIR N LOAD ARG…      starts or stops processes `LOAD ARG…` until N of them run
set -euo pipefail
dir=$1
want=$2
shift 2
mkdir -p "$dir"
exec 9>"$dir/lock"
flock 9
touch "$dir/pids"
if [ "$want" = get ]; then
    cat "$dir/count" 2>/dev/null || echo 0
    exit 0
fi
mapfile -t pids <"$dir/pids"
while [ "${#pids[@]}" -lt "$want" ]; do
    "$@" 9>&- >>"$dir/log" 2>&1 </dev/null &
    pids+=("$!")
done
while [ "${#pids[@]}" -gt "$want" ]; do
    kill -TERM "${pids[-1]}" 2>/dev/null || true
    unset 'pids[-1]'
done
if [ "${#pids[@]}" -gt 0 ]; then printf '%s\n' "${pids[@]}" >"$dir/pids"; else : >"$dir/pids"; fi
echo "$want" >"$dir/count"
