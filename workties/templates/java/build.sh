#!/bin/sh
# Makes app.jar of all .java files here, for Java 11 and newer; class Main is started. The same sources always make the
# same jar.
set -eu
cd "$(dirname "$0")"

if ! command -v javac >/dev/null; then
    echo "javac is missing: install a JDK of 17 or newer, e.g. apt-get install default-jdk-headless" >&2
    exit 1
fi
rm -rf app.jar .classes # hidden files do not get into the package
javac --release 11 -d .classes ./*.java
jar --create --file app.jar --date 2000-01-01T00:00:00Z --main-class Main -C .classes .
