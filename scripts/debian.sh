# How `chromium` and `servers` come by a program: the machine's own, or else Debian's with all that it needs and the machine
# has not. Nothing is installed: packages are unpacked, and a script starts the program with their libraries. To be sourced.

# own LINK NAME...: link to the first of these programs that the machine has.
own() {
    link=$1
    shift
    for name; do
        found=$(command -v "$name") && ln -sf "$found" "$link" && return
    done
    return 1
}

# unpack FOLDER PACKAGE: put the package there, with what it needs. Where that fails, print why.
unpack() (
    folder=$1
    fetch() {
        timeout 240 apt-get install -qq -y --download-only --no-install-recommends -o Debug::NoLocking=1 \
            -o Dir::Cache::archives="$folder/packages" "$1" >/dev/null 2>&1
    }
    fail() { echo "$*"; rm -rf "$folder"; exit 1; }
    command -v apt-get >/dev/null || fail "this is no Debian"
    mkdir -p "$folder/packages/partial"
    fetch "$2" || { [ "$(id -u)" = 0 ] && apt-get update -qq >/dev/null 2>&1 && fetch "$2"; } ||
        fail "apt-get cannot fetch it"
    for package in "$folder"/packages/*.deb; do
        dpkg-deb -x "$package" "$folder" || fail "$package cannot be unpacked"
    done
    rm -rf "$folder/packages"
)

# starter SCRIPT FOLDER PROGRAM [LINE]: write a script that starts what was unpacked there, after this line.
starter() {
    libraries=$(find "$2" -name '*.so*' -path '*-linux-gnu*' -exec dirname {} + | sort -u | tr '\n' ':')
    printf '%s\n' '#!/bin/sh' "${4:-}" "LD_LIBRARY_PATH='$libraries' exec '$2/$3' \"\$@\"" >"$1"
    chmod +x "$1"
}
