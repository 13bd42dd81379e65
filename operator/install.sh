#!/bin/sh
# Fills /opt/asiarch while an image is built: `install.sh EXTRA...` makes an environment of what these extras of
# pyproject.toml need, in the versions of requirements.lock and checked by its hashes, and the command `asiarch`.
# What only the installation needed is gone again when it ends.
#
# Two secrets of the build are heeded where they are given, and stay out of the image: /run/secrets/ca.crt, the
# authority of the builder's network; /run/secrets/index, lines of `export PIP_...=` and `export UV_...=`.
set -eu
cd "$(dirname "$0")"

if [ -s /run/secrets/ca.crt ]; then
    export PIP_CERT=/run/secrets/ca.crt SSL_CERT_FILE=/run/secrets/ca.crt
fi
if [ -s /run/secrets/index ]; then
    . /run/secrets/index
fi
export PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
export UV_CACHE_DIR="${UV_CACHE_DIR:-/var/cache/uv}" UV_LINK_MODE=copy UV_NO_PROGRESS=1

environment=$(pwd)
python3 -m venv --without-pip "${environment}"

# uv itself comes from the lock too, checked by its hash, into a corner of its own.
tools=$(mktemp -d)
trap 'rm -rf "${tools}"' EXIT
python3 -m venv "${tools}"
sed -n '/^uv==/,/[^\\]$/p' requirements.lock >"${tools}/uv.lock"
"${tools}/bin/python" -m pip install --quiet --require-hashes --requirement "${tools}/uv.lock"

# As a constraint the lock binds the version and the hash of everything that is installed.
set -- $(printf -- '--extra %s ' "$@")
"${tools}/bin/uv" pip install --quiet --python "${environment}/bin/python" --only-binary :all: --compile-bytecode \
    --constraint requirements.lock --requirement pyproject.toml "$@"

printf '#!%s/bin/python\nfrom asiarch.cli import main\nmain()\n' "${environment}" >"${environment}/bin/asiarch"
chmod 755 "${environment}/bin/asiarch"
