#!/usr/bin/env bash
# Puts the clients of the interop suite into a virtual environment and prints its path. Does nothing the second
# time, until requirements.txt changes.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../../.." && pwd)
venv=${INTEROP_VENV:-${CARGO_TARGET_DIR:-$root/target}/interop-venv}
stamp=$venv/requirements.sha256

if sha256sum --check --status "$stamp" 2>/dev/null; then
  echo "$venv"
  exit 0
fi

{
  echo "interop: installing clients into $venv"
  rm -rf "$venv"
  python3 -m venv "$venv"
  "$venv/bin/pip" install --disable-pip-version-check --quiet --requirement "$here/requirements.txt"
  sha256sum "$here/requirements.txt" >"$stamp"
} >&2
echo "$venv"
