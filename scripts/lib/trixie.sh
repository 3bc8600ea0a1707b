# trixie.sh: packages of Debian 13 for a script to unpack, from the mirror that apt is set up with, checked
# by Debian's keyring; neither the system nor its apt sources change. To be sourced; needs say and fail.
# shellcheck shell=bash
suite=trixie
keyring=/usr/share/keyrings/debian-archive-keyring.gpg

# mirror: the first Debian archive of the system's sources, without its security and update suites.
# shellcheck disable=SC2016 # the names in $() are apt's
mirror() {
    apt-get indextargets --format '$(REPO_URI) $(ORIGIN) $(COMPONENT) $(CODENAME)' \
        'Created-By: Packages' |
        awk '$2 == "Debian" && $3 == "main" && $0 !~ /security|updates|backports/ { print $1; exit }'
}

# own COMMAND...: an apt command with its own sources, lists, cache and (empty) state below $work.
own() {
    local apt=$1
    shift
    "$apt" -qq -o Dir::Etc::sourcelist="$work/one.list" -o Dir::Etc::sourceparts=- \
        -o Dir::State::Lists="$work/lists" -o Dir::Cache="$work/cache" \
        -o Dir::State::status="$work/status" -o APT::Sandbox::User="$(id -un)" "$@"
}

# open_suite makes $work, which goes with the script, and fetches the lists.
open_suite() {
    local uri
    [ -r "$keyring" ] || fail "no $keyring: this works on Debian only"
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    mkdir -p "$work/lists/partial" "$work/cache/archives/partial"
    : > "$work/status"
    uri=$(mirror)
    [ -n "$uri" ] || fail "apt has no Debian mirror set up"
    printf 'deb [signed-by=%s] %s %s main\n' "$keyring" "$uri" "$suite" > "$work/one.list"
    own apt-get update || fail "the lists of $suite cannot be had from $uri"
}
