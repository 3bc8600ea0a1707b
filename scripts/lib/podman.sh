# podman.sh: what try-clean and try-image share. Sourced, not run.
# Base images come from the system's own Debian mirror by mmdebstrap, so that no image hub is needed;
# they carry the hub's names and stay on this machine.
# shellcheck shell=bash

podman_need() {
    local tool missing=()
    for tool in podman mmdebstrap; do
        command -v $tool > /dev/null || missing+=("$tool")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    echo "missing: ${missing[*]}. On Debian:" >&2
    echo "  apt-get install -y --no-install-recommends podman buildah runc netavark aardvark-dns iptables mmdebstrap" >&2
    exit 2
}

# podman_conf DIR: a configuration of our own, where the machine's limits are lower than podman's wishes.
podman_conf() {
    local files procs
    files=$(ulimit -Hn) procs=$(ulimit -Hu)
    [ "$files" != unlimited ] || files=1048576
    # Raising a limit is refused on some machines, lowering never is.
    [ "$procs" != unlimited ] && [ "$procs" -lt 20000 ] || procs=20000
    {
        echo '[containers]'
        echo "default_ulimits = [\"nofile=$files:$files\", \"nproc=$procs:$procs\"]"
        if command -v runc > /dev/null; then
            echo '[engine]'
            echo 'runtime = "runc"'
        fi
        if [ -x /usr/lib/podman/netavark ]; then
            echo '[network]'
            echo 'network_backend = "netavark"'
        fi
    } > "$1/containers.conf"
    export CONTAINERS_CONF=$1/containers.conf
}

# debian_mirror: the first http(s) mirror in the system's apt sources.
debian_mirror() {
    {
        cat /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list \
            /etc/apt/sources.list.d/*.list 2> /dev/null || true
    } | awk '$1 == "URIs:" { print $2; exit }
            $1 == "deb" { for (i = 2; i <= NF; i++) if ($i ~ /^https?:/) { print $i; exit } }'
}

# debian_image NAME DISTRO PACKAGES [CHANGE...]: makes the image NAME unless it is there. A CHANGE is
# a line of a Dockerfile.
debian_image() {
    local name=$1 distro=$2 packages=$3 mirror work change=()
    shift 3
    ! podman image exists "$name" || return 0
    mirror=$(debian_mirror)
    [ -n "$mirror" ] || { echo "no Debian mirror in the system's apt sources" >&2; return 1; }
    echo "making the image $name from $distro's packages" >&2
    for line in 'CMD ["/bin/bash"]' "$@"; do
        change+=(--change "$line")
    done
    work=$(mktemp -d)
    local rc=0
    mmdebstrap --quiet --variant=minbase ${packages:+--include="$packages"} "$distro" "$work/root.tar" \
        "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $distro main" &&
        podman import --quiet "${change[@]}" "$work/root.tar" "$name" > /dev/null || rc=$?
    rm -rf "$work"
    return $rc
}
