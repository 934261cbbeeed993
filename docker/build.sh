#!/bin/sh
# Builds images with buildah, where no Docker engine runs: docker/build.sh serve worker train
# BASE names the image to build on. Without it one is made with debootstrap: Debian 12 with Python 3.11 and venv; that needs root.
# OPTIONS goes to buildah, for a package index or certificates of one's own: OPTIONS="-v /etc/pip.conf:/etc/pip.conf:ro".
set -eu
cd "$(dirname "$0")/.."

if [ -z "${BASE:-}" ]; then
    BASE=localhost/parsimony-base
    if ! buildah inspect --type image "$BASE" > /dev/null 2>&1; then
        root=$(mktemp -d)
        trap 'rm -rf "$root"' EXIT
        debootstrap --variant=minbase --include=python3,python3-venv,ca-certificates bookworm "$root"
        rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/*
        tar -C "$root" -c . | podman import - "$BASE"
    fi
fi
version=$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
revision=$(git rev-parse HEAD 2> /dev/null || echo unknown)
for name in "$@"; do
    # The format of Docker, because that of OCI has no health check; chroot, because a container may not make namespaces.
    # shellcheck disable=SC2086
    buildah bud --layers --format docker --isolation chroot --network host ${OPTIONS:-} \
        --build-arg BASE="$BASE" --build-arg VERSION="$version" --build-arg REVISION="$revision" \
        -f "docker/$name.Dockerfile" -t "parsimony-$name" .
done
