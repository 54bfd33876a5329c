#!/usr/bin/env bash
# Makes .venv and local/node_modules, unless they were made to their end from just what is here.
set -euo pipefail
cd "$(dirname "$0")/.."

main() {
    leave_venv
    # All that can be missing is said before anything is installed.
    local python
    python=$(find_python)
    check_node
    # One after the other: this file is locked for as long as we, or what we started, have it open.
    exec 9<> local/setup.sh
    "$python" -c 'import fcntl; fcntl.flock(9, fcntl.LOCK_EX)'
    set_up_python "$python"
    set_up_node
}

# What .venv is made from cannot be in .venv, which a shell or an editor may have activated.
leave_venv() {
    local entry kept='' IFS=:
    for entry in $PATH; do
        [ "$entry" -ef .venv/bin ] || kept=$kept:$entry
    done
    PATH=${kept#:}
}

set_up_python() {
    # A venv does not work in any other folder than the one it was made in.
    local made_from="$1 in $PWD from $(cat requirements.txt requirements-dev.txt | cksum)"
    is_made_from "$made_from" .venv && return
    echo "Installing the Python packages with $1 ..."
    rm -rf .venv
    "$1" -m venv .venv
    .venv/bin/python -m pip install -qq --disable-pip-version-check -r requirements-dev.txt
    echo "$made_from" > .venv/.made-from
}

set_up_node() {
    local made_from
    made_from="from $(cat local/package.json local/package-lock.json | cksum)"
    is_made_from "$made_from" local/node_modules && return
    echo "Installing Azurite and the Agents Playground ..."
    rm -rf local/node_modules
    (cd local && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error)
    echo "$made_from" > local/node_modules/.made-from
}

# The file is written last: what was interrupted half-way has none.
is_made_from() {
    [ "$(cat "$2/.made-from" 2> /dev/null)" = "$1" ]
}

find_python() {
    local candidate
    if [ -n "${PYTHON:-}" ]; then
        candidate=$(python_path "$PYTHON") ||
            fail "PYTHON=$PYTHON is not a Python 3.11 or newer with venv."
        [ ! "$(dirname "$candidate")" -ef .venv/bin ] ||
            fail "PYTHON=$PYTHON is in .venv, which is made from another one."
        echo "$candidate"
        return
    fi
    # Names that pyenv provides can be there without an interpreter behind them.
    for candidate in python3.13 $(pyenv_pythons) python3.12 python3.11 python3; do
        python_path "$candidate" && return
    done
    fail "Python 3.11 or newer with venv is missing: install it" \
        "(on Debian and Ubuntu: apt install python3 python3-venv) or name it with PYTHON=..."
}

pyenv_pythons() {
    command -v pyenv > /dev/null || return 0
    printf '%s\n' "$(pyenv root)"/versions/3.13*/bin/python
}

python_path() {
    "$1" -c 'import ensurepip, sys
if sys.version_info < (3, 11): sys.exit(1)
print(sys.executable)' 2> /dev/null
}

check_node() {
    node -e 'process.exit(process.versions.node.split(".")[0] >= 20 ? 0 : 1)' 2> /dev/null &&
        command -v npm > /dev/null ||
        fail "Node.js 20 or newer with npm is missing: install it from https://nodejs.org."
}

fail() {
    echo "$*" >&2
    exit 1
}

main
