#!/usr/bin/env bash
# Runs what moves objects through every front of kit/fronts.py, one pytest each. Arguments go to each pytest.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
pytest=$("$here/install.sh")/bin/pytest
failed=()
for front in tls mtls virtual haproxy-proxy-v1 haproxy-proxy-v2 haproxy-h2c haproxy-h2 nginx; do
  tests=("$here/test_objects.py" "$here/test_presigned.py" "$here/test_framings.py")
  case $front in
    # Who goes on is between client and proxy there, and over HTTP/2 the gateway has no interim answers to give.
    haproxy* | nginx) tests+=(-k "not asked_for") ;;
  esac
  printf '\n== %s ==\n' "$front"
  "$pytest" -q -c "$here/pytest.ini" --front "$front" "${tests[@]}" "$@" || failed+=("$front")
done
if [ ${#failed[@]} -gt 0 ]; then
  echo "failed behind: ${failed[*]}" >&2
  exit 1
fi
