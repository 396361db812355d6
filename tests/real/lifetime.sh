# Sourced by the scripts that start real servers: free ports, and an end that comes with the owner's.

# N free ports; they stay free because nothing else is asked for between here and the bind, a second at most.
free_ports() {
  local n=$1 port got=0
  while [ "$got" -lt "$n" ]; do
    port=$((20000 + RANDOM % 12000))
    if ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && [[ ! " ${TAKEN:-} " == *" $port "* ]]; then
      TAKEN="${TAKEN:-} $port"; echo "$port"; got=$((got + 1))
    fi
  done
}

guard() { # waits for the owner's end, however it comes (kill -9 too), then ends the servers and removes their data
  local dir=$1 owner=$2
  while kill -0 "$owner" 2>/dev/null && [ -e "$dir/pids" ]; do sleep 0.5; done
  stop "$dir"
  rm -rf "$dir"
}

stop() {
  local dir=$1 pid
  [ -e "$dir/pids" ] || return 0
  while read -r pid; do
    kill -CONT "$pid" 2>/dev/null || true # a stopped process would not hear the end
    kill -KILL "$pid" 2>/dev/null || true # the data are thrown away: no need to be gentle
  done <"$dir/pids"
  rm -f "$dir/pids"
}
