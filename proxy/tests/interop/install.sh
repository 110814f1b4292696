#!/usr/bin/env bash
# Puts the clients and identity providers of the interop suite into a virtual environment, those that run under
# Node.js into its directory `node`, and prints its path. Does nothing the second time, until what is pinned changes.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../../.." && pwd)
venv=${INTEROP_VENV:-${CARGO_TARGET_DIR:-$root/target}/interop-venv}
stamp=$venv/pinned.sha256

if sha256sum --check --status "$stamp" 2>/dev/null; then
  echo "$venv"
  exit 0
fi

{
  echo "interop: installing clients into $venv"
  rm -rf "$venv"
  python3 -m venv "$venv"
  "$venv/bin/pip" install --disable-pip-version-check --quiet --requirement "$here/requirements.txt"
  pinned=("$here/requirements.txt")
  if command -v npm >/dev/null; then
    mkdir "$venv/node"
    cp "$here/node/package.json" "$here/node/package-lock.json" "$venv/node"
    npm ci --prefix "$venv/node" --ignore-scripts --no-audit --no-fund --silent
    pinned+=("$here/node/package-lock.json")
  else
    echo "interop: NOTE: there is no npm: what needs Node.js will be skipped"
  fi
  sha256sum "${pinned[@]}" >"$stamp"
} >&2
echo "$venv"
