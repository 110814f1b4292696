#!/usr/bin/env bash
# Checks what is shipped for running Sigward: configurations, the systemd unit, the Kubernetes base, what Prometheus and
# Grafana load.
# A check whose tool is missing is skipped loudly, and is a failure where CI=true.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
failures=0

passed() { printf 'deploy: ok       %s\n' "$1"; }
failed() { printf 'deploy: FAILED   %s\n' "$1" >&2; failures=$((failures + 1)); }
skipped() {
  printf 'deploy: SKIPPED  %s\n' "$1" >&2
  [ "${CI:-}" != true ] || failures=$((failures + 1))
}
check() {
  local name=$1
  shift
  if "$@"; then passed "$name"; else failed "$name"; fi
}

sigward=${SIGWARD_BIN:-}
if [ -z "$sigward" ]; then
  cargo build --quiet --locked --package sigward
  sigward=${CARGO_TARGET_DIR:-$PWD/target}/debug/sigward
fi

# Secrets that every configuration below can name.
secrets=$scratch/secrets
install -d -m 0700 "$secrets"
printf 'secret\n' | tee "$secrets/backend" > "$secrets/alice"
(umask 077 && printf 'sigward-sealing-key-v1:%s:%s\n' key1 "$(head -c 32 /dev/urandom | base64)" > "$secrets/sealing.key")

cp config/minimal.toml "$scratch/minimal.toml"
check "config/minimal.toml" "$sigward" check-config --config "$scratch/minimal.toml"

check "config/sigward.toml" env \
  SIGWARD__BACKEND__ENDPOINT=http://127.0.0.1:9000 \
  SIGWARD__BACKEND__ACCESS_KEY_ID=backend \
  SIGWARD__BACKEND__SECRET_ACCESS_KEY_FILE="$secrets/backend" \
  SIGWARD__STORE__PATH="$scratch/events.redb" \
  SIGWARD__STORE__SEALING_KEY_FILES="$secrets/sealing.key" \
  "$sigward" check-config --config config/sigward.toml

sed -E "s|/run/secrets/sigward(-sealing-key)?/|$secrets/|" deploy/kubernetes/base/sigward.toml > "$scratch/kubernetes.toml"
check "deploy/kubernetes/base/sigward.toml" env SIGWARD__STORE__PATH="$scratch/events.redb" \
  "$sigward" check-config --config "$scratch/kubernetes.toml"

if command -v systemd-analyze > /dev/null; then
  # The unit names the program where it will be installed; verify wants it to exist.
  unit=$scratch/sigward.service
  sed "s|^ExecStart=/usr/local/bin/sigward|ExecStart=$sigward|" deploy/systemd/sigward.service > "$unit"
  verify() {
    local said
    said=$(systemd-analyze verify --man=no "$unit" 2>&1) || { printf '%s\n' "$said" >&2; return 1; }
    # It exits with 0 after warnings too; those of other units are not ours.
    ! grep -F "$(basename "$unit")" <<< "$said" >&2
  }
  check "systemd-analyze verify" verify
  security() {
    systemd-analyze security --offline=true --threshold=15 --no-pager "$unit" > "$scratch/security" ||
      { cat "$scratch/security" >&2; return 1; }
  }
  check "systemd-analyze security: exposure of at most 1.5" security
else
  skipped "systemd-analyze verify (systemd-analyze is missing)"
fi

if command -v kubectl > /dev/null; then
  check "kubectl kustomize" kubectl kustomize deploy/kubernetes/base --output "$scratch/rendered.yaml"
  # Rendering must not rewrite whom the network policy lets in.
  check "the network policy admits Prometheus" grep -q 'app.kubernetes.io/name: prometheus' "$scratch/rendered.yaml"
else
  skipped "kubectl kustomize (kubectl is missing)"
fi

if command -v promtool > /dev/null; then
  quietly() { "$@" > "$scratch/said" 2>&1 || { cat "$scratch/said" >&2; return 1; }; }
  check "promtool check rules" quietly promtool check rules --lint-fatal deploy/prometheus/rules.yaml
  check "promtool test rules" quietly promtool test rules deploy/prometheus/rules_test.yaml
  dashboard() {
    deploy/grafana/expressions.py deploy/grafana/sigward.json > "$scratch/expressions.yaml" &&
      quietly promtool check rules --lint-fatal "$scratch/expressions.yaml"
  }
  if command -v python3 > /dev/null; then
    check "the dashboard's expressions" dashboard
  else
    skipped "the dashboard's expressions (python3 is missing)"
  fi
else
  skipped "promtool: rules and dashboard (promtool is missing)"
fi

[ "$failures" = 0 ] || { printf 'deploy: %s failed or skipped\n' "$failures" >&2; exit 1; }
