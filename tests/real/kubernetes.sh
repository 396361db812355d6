#!/usr/bin/env bash
# A real Kubernetes control plane for the tests: API server, controller manager (with the HPA's) and etcd, built once
# from Go modules into a cache, run on loopback, gone with the process that asked for it. No nodes: pods are made ready
# by the tests' own kubelet.
#
#   kubernetes.sh install     prints the program (building it takes minutes, once)
#   kubernetes.sh start DIR   data in DIR; writes DIR/{url,pids,audit.log} and DIR/USER.kubeconfig for
#                             admin, alice, bob and carol (group operators), viewer (group viewers), nobody
#   kubernetes.sh stop DIR    ends it by pid
set -euo pipefail

VERSION=v1.36.4
CACHE=${HIGHWATER_TEST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/highwater-tests}
HERE=$(cd "$(dirname "$0")" && pwd)
. "$HERE/lifetime.sh"

die() { echo "kubernetes.sh: $*" >&2; exit 1; }

program() { # the same sources give the same program
  echo "$CACHE/kubernetes-$(cat "$HERE"/kubernetes/{go.mod,go.sum,main.go} | sha256sum | cut -c1-16)/control-plane"
}

install() {
  mkdir -p "$CACHE"
  exec 8>"$CACHE/kubernetes.lock"
  flock -w 3600 8 || die "somebody else has been building Kubernetes for an hour"
  local to log=$CACHE/kubernetes-build.log stamp=k8s.io/component-base/version
  to=$(program)
  [ -x "$to" ] && return
  mkdir -p "$(dirname "$to")"
  echo "kubernetes.sh: building Kubernetes $VERSION, once (about 400 s on two cores)" >&2
  # Without the stamps /version would say v0.0.0-master.
  (cd "$HERE/kubernetes" && CGO_ENABLED=0 GOTOOLCHAIN=local GOFLAGS="-buildvcs=false -mod=readonly" nice -n 10 go build -trimpath \
    -ldflags="-s -w -X $stamp.gitVersion=$VERSION -X $stamp.gitMajor=1 -X $stamp.gitMinor=36" -o "$to.new" .) >"$log" 2>&1 \
    || { tail -5 "$log" >&2; die "Go could not build Kubernetes $VERSION; the whole log is in $log"; }
  mv "$to.new" "$to"
}

kubeconfig() { # DIR USER URL
  cat >"$1/$2.kubeconfig" <<CONF
apiVersion: v1
kind: Config
current-context: real
clusters: [{name: real, cluster: {server: "$3", certificate-authority: "$1/ca.pem"}}]
users: [{name: $2, user: {token: "$2-token"}}]
contexts: [{name: real, context: {cluster: real, user: $2}}]
CONF
  chmod 600 "$1/$2.kubeconfig"
}

start() {
  local dir=$1 cp user
  install
  cp=$(program)
  mkdir -p "$dir"; dir=$(cd "$dir" && pwd)
  local -a ports
  mapfile -t ports < <(free_ports 3)
  local url=https://127.0.0.1:${ports[0]} etcd=http://127.0.0.1:${ports[1]}
  "$HERE/certificates.sh" "$dir"
  openssl ecparam -name prime256v1 -genkey -noout -out "$dir/accounts.key" 2>/dev/null
  cat >"$dir/tokens.csv" <<CSV
admin-token,admin,1,system:masters
controllers-token,controllers,2,system:masters
alice-token,alice,3,operators
bob-token,bob,4,operators
carol-token,carol,7,operators
viewer-token,viewer,5,viewers
nobody-token,nobody,6,
CSV
  cat >"$dir/audit.yaml" <<'CONF'
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- {level: None, users: [controllers, "system:apiserver"]}
- {level: Metadata}
CONF
  for user in admin controllers alice bob carol viewer nobody; do kubeconfig "$dir" "$user" "$url"; done
  : >"$dir/pids"
  # 8>&- and the closed descriptors: nothing of ours may keep the caller's pipes open.
  run() { "$cp" "$@" >"$dir/$1.log" 2>&1 </dev/null 8>&- & echo $! >>"$dir/pids"; }
  run etcd "$dir" "$etcd" "http://127.0.0.1:${ports[2]}"
  run kube-apiserver --etcd-servers="$etcd" --secure-port="${ports[0]}" \
    --bind-address=127.0.0.1 --advertise-address=127.0.0.1 --endpoint-reconciler-type=none \
    --tls-cert-file="$dir/broker.pem" --tls-private-key-file="$dir/broker.key" \
    --token-auth-file="$dir/tokens.csv" --authorization-mode=RBAC --anonymous-auth=false \
    --service-account-issuer=https://kubernetes.default.svc --service-account-key-file="$dir/accounts.key" \
    --service-account-signing-key-file="$dir/accounts.key" --service-cluster-ip-range=10.0.0.0/24 \
    --disable-admission-plugins=ServiceAccount \
    --audit-policy-file="$dir/audit.yaml" --audit-log-path="$dir/audit.log" \
    --requestheader-client-ca-file="$dir/ca.pem" --requestheader-allowed-names=client \
    --requestheader-username-headers=X-Remote-User --requestheader-group-headers=X-Remote-Group \
    --requestheader-extra-headers-prefix=X-Remote-Extra- \
    --proxy-client-cert-file="$dir/client.pem" --proxy-client-key-file="$dir/client.key"
  guard "$dir" "${HIGHWATER_TEST_OWNER:-$PPID}" 8>&- </dev/null >/dev/null 2>&1 &
  ready "$dir" "$url"
  # A short sync and a short memory of recommendations: a test sees what takes 15 s and 5 min elsewhere.
  run kube-controller-manager --kubeconfig="$dir/controllers.kubeconfig" --secure-port=0 --leader-elect=false \
    --controllers=deployment-controller,replicaset-controller,statefulset-controller,job-controller,horizontal-pod-autoscaler-controller \
    --horizontal-pod-autoscaler-sync-period=1s --horizontal-pod-autoscaler-downscale-stabilization=1s \
    --kube-api-qps=200 --kube-api-burst=400
  until grep -q 'Starting HPA controller' "$dir/kube-controller-manager.log"; do alive "$dir"; sleep 0.1; done
  echo "$url" >"$dir/url"
}

alive() { # every process, or the end with the last words
  local dir=$1 pid
  while read -r pid; do
    kill -0 "$pid" 2>/dev/null || { tail -5 "$dir"/*.log >&2; stop "$dir"; die "process $pid ended"; }
  done <"$dir/pids"
}

ready() { # until the API server says so
  local dir=$1 url=$2 deadline=$((SECONDS + 120))
  until curl -fsS --max-time 2 --cacert "$dir/ca.pem" -H "Authorization: Bearer admin-token" "$url/readyz" >/dev/null 2>&1; do
    alive "$dir"
    [ "$SECONDS" -lt "$deadline" ] || { tail -5 "$dir"/*.log >&2; stop "$dir"; die "not ready within 120 s"; }
    sleep 0.1
  done
}

case ${1:-} in
  install) install; program ;;
  start) [ $# -eq 2 ] || die "start DIR"; start "$2" ;;
  stop) [ $# -eq 2 ] || die "stop DIR"; stop "$2" ;;
  *) die "install | start DIR | stop DIR" ;;
esac
