#!/usr/bin/env bash
# Real Apache Kafka for the tests: installed from Maven Central once into a cache, run on loopback with ports of the
# system's choice, gone with the process that asked for it.
#
#   kafka.sh install                 prints the folder of the jars
#   kafka.sh start DIR N [secured]   N combined broker,controller nodes with their data in DIR; writes DIR/{bootstrap,pids,jmx};
#                                    secured: SASL_SSL with SCRAM, PLAIN and OAUTHBEARER, users admin (super), viewer, nobody; and
#                                    DIR/mutual: a listener that wants a client certificate (certificates.sh)
#   kafka.sh restart DIR NODE        starts a node again that was killed
#   kafka.sh stop DIR                ends them by pid
#   kafka.sh tool DIR CLASS ARGS…    runs a console tool of Kafka's own
set -euo pipefail

VERSION=${HIGHWATER_TEST_KAFKA:-4.3.1}
CACHE=${HIGHWATER_TEST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/highwater-tests}
HOME_DIR=$CACHE/kafka-$VERSION
HERE=$(cd "$(dirname "$0")" && pwd)
. "$HERE/lifetime.sh"
JVM=(-Xms64m -Xmx384m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Xshare:auto -Dlog4j2.level=INFO)

die() { echo "kafka.sh: $*" >&2; exit 1; }

install() {
  mkdir -p "$CACHE"
  exec 8>"$CACHE/kafka.lock"
  flock -w 600 8 || die "somebody else has been installing Kafka for ten minutes"
  [ -e "$HOME_DIR/complete" ] && return
  local pom binding log=$CACHE/kafka-install.log
  case $VERSION in # Kafka 4 logs by log4j 2, older ones by reload4j
    2.*|3.*) binding="<groupId>org.slf4j</groupId><artifactId>slf4j-reload4j</artifactId><version>1.7.36</version>" ;;
    *) binding="<groupId>org.apache.logging.log4j</groupId><artifactId>log4j-slf4j-impl</artifactId><version>2.25.1</version>" ;;
  esac
  pom=$(mktemp -d "$CACHE/pom.XXXXXX")
  cat >"$pom/pom.xml" <<POM
<project><modelVersion>4.0.0</modelVersion><groupId>t</groupId><artifactId>t</artifactId><version>1</version><dependencies>
<dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>$VERSION</version></dependency>
<dependency><groupId>org.apache.kafka</groupId><artifactId>kafka-tools</artifactId><version>$VERSION</version></dependency>
<dependency>$binding</dependency>
<dependency><groupId>io.prometheus.jmx</groupId><artifactId>jmx_prometheus_javaagent</artifactId><version>1.0.1</version></dependency>
</dependencies></project>
POM
  (cd "$pom" && mvn -q -B dependency:copy-dependencies -DoutputDirectory="$HOME_DIR/libs") >"$log" 2>&1 \
    || { tail -5 "$log" >&2; rm -rf "$pom"; die "Maven could not fetch Kafka $VERSION; the whole log is in $log"; }
  rm -rf "$pom"
  touch "$HOME_DIR/complete"
}

classpath() { # the agent is no part of the broker's own class path
  find "$HOME_DIR/libs" -name '*.jar' ! -name 'jmx_prometheus_javaagent*' | sort | tr '\n' ':'
}

launch() { # one node in the background; its pid in LAUNCHED
  local dir=$1 i=$2 jmx=$3 agent
  agent=$(find "$HOME_DIR/libs" -name 'jmx_prometheus_javaagent*.jar')
  # 8>&- and the closed descriptors: nothing of ours may keep the caller's pipes open.
  (cd "$dir/$i" && exec java -cp "$HERE/kafka:$(classpath)" "${JVM[@]}" \
    "-javaagent:$agent=127.0.0.1:$jmx:$HERE/kafka/rules.yml" kafka.Kafka server.properties) \
    >"$dir/$i/log" 2>&1 </dev/null 8>&- &
  LAUNCHED=$!
}

restart() { # a node that was killed, with its data and ports; does not wait until it is ready
  local dir=$1 i=$2
  [ -e "$dir/pids" ] || die "nothing runs in $dir"
  launch "$dir" "$i" "$(sed -n "${i}p" "$dir/jmx")"
  sed -i "${i}s/.*/$LAUNCHED/" "$dir/pids"
}

start() {
  local dir=$1 n=$2 mode=${3:-plain} i
  install
  mkdir -p "$dir"; dir=$(cd "$dir" && pwd)
  local -a ports
  mapfile -t ports < <(free_ports $((4 * n)))
  local voters="" bootstrap="" mutual="" listener=PLAINTEXT
  [ "$mode" = secured ] && { listener=SASL_SSL; "$HERE/certificates.sh" "$dir"; }
  for ((i = 1; i <= n; i++)); do
    voters+="${voters:+,}$i@127.0.0.1:${ports[n + i - 1]}"
    bootstrap+="${bootstrap:+,}127.0.0.1:${ports[i - 1]}"
    mutual+="${mutual:+,}127.0.0.1:${ports[3 * n + i - 1]}"
  done
  local rf=$((n < 3 ? n : 3)) cp id
  cp=$(classpath)
  id=$(head -c 16 /dev/urandom | base64 | tr '+/' 'ab' | cut -c1-22)
  for ((i = 1; i <= n; i++)); do
    mkdir -p "$dir/$i"
    cat >"$dir/$i/server.properties" <<CONF
process.roles=broker,controller
node.id=$i
controller.quorum.voters=$voters
listeners=$listener://127.0.0.1:${ports[i - 1]}$([ "$mode" = secured ] && echo ",SSL://127.0.0.1:${ports[3 * n + i - 1]}"),CONTROLLER://127.0.0.1:${ports[n + i - 1]}
advertised.listeners=$listener://127.0.0.1:${ports[i - 1]}$([ "$mode" = secured ] && echo ",SSL://127.0.0.1:${ports[3 * n + i - 1]}")
controller.listener.names=CONTROLLER
inter.broker.listener.name=$listener
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL_SSL:SASL_SSL,SSL:SSL
log.dirs=$dir/$i/data
num.network.threads=2
num.io.threads=2
offsets.topic.num.partitions=12
offsets.topic.replication.factor=$rf
transaction.state.log.num.partitions=3
transaction.state.log.replication.factor=$rf
transaction.state.log.min.isr=1
share.coordinator.state.topic.num.partitions=3
share.coordinator.state.topic.replication.factor=$rf
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
group.coordinator.rebalance.protocols=classic,consumer
log.cleaner.dedupe.buffer.size=8388608
log.index.size.max.bytes=262144
log.retention.check.interval.ms=1000
auto.create.topics.enable=false
CONF
    if [ "$mode" = secured ]; then
      cat >>"$dir/$i/server.properties" <<CONF
sasl.enabled.mechanisms=SCRAM-SHA-512,SCRAM-SHA-256,PLAIN,OAUTHBEARER
# Sessions of these two end quickly (KIP-368), so that tests see them renewed; tokens are unsigned ones.
listener.name.sasl_ssl.scram-sha-256.connections.max.reauth.ms=10000
listener.name.sasl_ssl.oauthbearer.connections.max.reauth.ms=10000
listener.name.sasl_ssl.oauthbearer.sasl.jaas.config=org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub="admin";
sasl.mechanism.inter.broker.protocol=SCRAM-SHA-512
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required username="admin" password="admin-pass";
listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.sasl_ssl.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required username="admin" password="admin-pass" user_viewer="viewer-pass" user_admin="admin-pass";
ssl.keystore.type=PEM
ssl.keystore.location=$dir/broker.all.pem
ssl.truststore.type=PEM
ssl.truststore.location=$dir/ca.pem
listener.name.ssl.ssl.client.auth=required
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:admin;User:ANONYMOUS;User:CN=client
CONF
    fi
  done
  local -a scram=()
  if [ "$mode" = secured ]; then
    local user
    for user in admin viewer nobody; do
      scram+=(--add-scram "SCRAM-SHA-512=[name=$user,password=$user-pass]" --add-scram "SCRAM-SHA-256=[name=$user,password=$user-pass]")
    done
  fi
  java -cp "$HERE/kafka:$cp" "${JVM[@]}" kafka.tools.StorageTool format -t "$id" -c "$dir/1/server.properties" "${scram[@]}" >"$dir/format.log" 2>&1 \
    || { tail -5 "$dir/format.log" >&2; die "formatting failed"; }
  for ((i = 2; i <= n; i++)); do # a copy saves a start of the JVM each
    cp -r "$dir/1/data" "$dir/$i/data"
    sed -i "s/^node.id=.*/node.id=$i/; s/^directory.id=.*/directory.id=$(head -c 16 /dev/urandom | base64 | tr '+/' 'ab' | cut -c1-22)/" "$dir/$i/data/meta.properties"
  done
  : >"$dir/pids"; : >"$dir/jmx"
  for ((i = 1; i <= n; i++)); do
    launch "$dir" "$i" "${ports[2 * n + i - 1]}"
    echo "$LAUNCHED" >>"$dir/pids"
    echo "${ports[2 * n + i - 1]}" >>"$dir/jmx"
  done
  guard "$dir" "${HIGHWATER_TEST_OWNER:-$PPID}" 8>&- </dev/null >/dev/null 2>&1 &
  local deadline=$((SECONDS + 120))
  for ((i = 1; i <= n; i++)); do
    until grep -q 'Kafka Server started' "$dir/$i/log"; do
      kill -0 "$(sed -n "${i}p" "$dir/pids")" 2>/dev/null || { tail -5 "$dir/$i/log" >&2; stop "$dir"; die "node $i ended"; }
      [ "$SECONDS" -lt "$deadline" ] || { stop "$dir"; die "node $i was not ready within 120 s"; }
      sleep 0.1
    done
  done
  [ "$mode" = secured ] && echo "$mutual" >"$dir/mutual"
  echo "$bootstrap" >"$dir/bootstrap"
}

tool() {
  local dir=$1 class=$2; shift 2
  [ -e "$dir/bootstrap" ] || die "nothing runs in $dir"
  exec java -cp "$HERE/kafka:$(classpath)" -Xshare:auto -XX:TieredStopAtLevel=1 -XX:+UseSerialGC "$class" --bootstrap-server "$(cat "$dir/bootstrap")" "$@"
}

case ${1:-} in
  install) install; echo "$HOME_DIR/libs" ;;
  start) [ $# -ge 3 ] || die "start DIR N [secured]"; start "$2" "$3" "${4:-plain}" ;;
  restart) [ $# -eq 3 ] || die "restart DIR NODE"; restart "$2" "$3" ;;
  stop) [ $# -eq 2 ] || die "stop DIR"; stop "$2" ;;
  tool) [ $# -ge 3 ] || die "tool DIR CLASS ARGS"; shift; tool "$@" ;;
  *) die "install | start DIR N [secured] | restart DIR NODE | stop DIR | tool DIR CLASS ARGS" ;;
esac
