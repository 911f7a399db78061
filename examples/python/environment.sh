# An environment in $BUILD/python/venv with the package and pytest, for the scripts that source this: sets $python, or ends
# them where nothing can be installed. SPDX-License-Identifier: MIT
#
# What the interpreter has already, such as torch, is seen; what is built stays out of the source tree.
mkdir -p "$BUILD/python"
venv=$(cd "$BUILD/python" && pwd)/venv
python=$venv/bin/python
export PYTHONDONTWRITEBYTECODE=1
[ -x "$python" ] || "$PYTHON" -m venv --system-site-packages "$venv"
if ! "$python" -m pip install -q --disable-pip-version-check numpy "pytest>=8" >"$tmp/pip.log" 2>&1; then
    missing "skipped: pip cannot install numpy and pytest here"
    finish
fi
check "python: pip install ./examples/python" "$python" -m pip install -q --disable-pip-version-check ./examples/python
