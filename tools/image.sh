#!/bin/sh
# The steps that make the image's contents: tools/image.sh PREFIX [PYTHON]. Called by the Dockerfile, and by the test that runs the same without a
# container engine. Writes a virtual environment without pip to PREFIX; everything that it installs is named in requirements/ with its hash.
set -eu

prefix=$1
python=${2:-python3}
here=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
# Files that are made now carry the time of the commit if the caller knows it, so that two builds of one commit are alike.
export SOURCE_DATE_EPOCH="${SOURCE_DATE_EPOCH:-315532800}"

# The tools that build stay here, and the source is a copy, so that nothing is left beside it.
"$python" -m venv "$work/build"
"$work/build/bin/pip" install --quiet --require-hashes --requirement "$here/requirements/build.lock"
mkdir "$work/source"
cp -R "$here/pyproject.toml" "$here/README.md" "$here/LICENSE" "$here/operator" "$work/source"
"$work/build/bin/pip" wheel --quiet --no-deps --no-build-isolation --wheel-dir "$work/wheels" "$work/source"

"$python" -m venv --without-pip "$prefix"
"$work/build/bin/pip" --python "$prefix/bin/python" install --quiet --no-compile --require-hashes --only-binary :all: --requirement "$here/requirements/run.lock"
"$work/build/bin/pip" --python "$prefix/bin/python" install --quiet --no-compile --no-deps --no-index "$work"/wheels/*.whl
"$work/build/bin/pip" --python "$prefix/bin/python" check
# The root file system is read-only where it runs, so Python's cache has to be there already, and must not depend on times.
"$prefix/bin/python" -m compileall -q -j 0 --invalidation-mode unchecked-hash "$prefix/lib"
