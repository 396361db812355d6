#!/usr/bin/env bash
# Certificates for the secured servers of the tests, good for 30 days: certificates.sh DIR
# Writes ca.pem and, signed by it, broker.{key,pem} (127.0.0.1, localhost), broker.all.pem (both in one) and client.{key,pem};
# other.{key,pem} is a client's that no server here knows.
set -euo pipefail
dir=$1

authority() { # NAME: rustls wants CA:TRUE on it
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj "/CN=$1" \
    -addext basicConstraints=critical,CA:TRUE -keyout "$dir/$1.key" -out "$dir/$1.pem" 2>/dev/null
}

signed() { # NAME AUTHORITY: rustls wants a SAN
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$1" -keyout "$dir/$1.key" -out "$dir/$1.csr" 2>/dev/null
  openssl x509 -req -in "$dir/$1.csr" -CA "$dir/$2.pem" -CAkey "$dir/$2.key" -CAcreateserial -days 30 -out "$dir/$1.pem" \
    -extfile <(printf 'subjectAltName=IP:127.0.0.1,DNS:localhost\nbasicConstraints=CA:FALSE\n') 2>/dev/null
}

authority ca
authority stranger
signed broker ca
signed client ca
signed other stranger
cat "$dir/broker.key" "$dir/broker.pem" >"$dir/broker.all.pem"
