# An environment in $BUILD/python/venv with the package and pytest, for the scripts that source this: sets $python, or ends
# them where nothing can be installed. SPDX-License-Identifier: MIT
#
# What the interpreter has already, such as torch, is seen; what is built stays out of the source tree.
mkdir -p "$BUILD/python"
venv=$(cd "$BUILD/python" && pwd)/venv
python=$venv/bin/python
export PYTHONDONTWRITEBYTECODE=1
[ -x "$python" ] || "$PYTHON" -m venv --system-site-packages "$venv"
# Where the interpreter is one of an environment, the new one sees the packages of the system, not those: they follow.
packages='import sys, sysconfig; print(sysconfig.get_path("purelib") if sys.prefix != sys.base_prefix else "")'
"$PYTHON" -c "$packages" >"$("$python" -c "$packages")/seen.pth"
if ! "$python" -m pip install -q --disable-pip-version-check numpy "pytest>=8" >"$tmp/pip.log" 2>&1; then
    missing "skipped: pip cannot install numpy and pytest here"
    finish
fi
check "python: pip install ./examples/python" "$python" -m pip install -q --disable-pip-version-check ./examples/python
