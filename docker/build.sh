#!/bin/sh
# Builds images with buildah, where no Docker engine runs: docker/build.sh serve worker train
# BASE names the image to build on. Without it one is made with debootstrap: Debian 12 with Python 3.11 and venv; that needs root.
# pip inside the build takes packages from where pip of this machine takes them (pip_options.py). OPTIONS goes to buildah as it is.
set -eu
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

if [ -z "${BASE:-}" ]; then
    BASE=localhost/parsimony-base
    if ! buildah inspect --type image "$BASE" > /dev/null 2>&1; then
        root=$work/root
        debootstrap --variant=minbase --include=python3,python3-venv,ca-certificates bookworm "$root"
        rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/*
        tar -C "$root" -c . | podman import - "$BASE"
    fi
fi
sources=$(python3 docker/pip_options.py "$work")
version=$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
revision=$(git rev-parse HEAD 2> /dev/null || echo unknown)
for name in "$@"; do
    # The format of Docker, because that of OCI has no health check; chroot, because a container may not make namespaces.
    # shellcheck disable=SC2086
    buildah bud --layers --format docker --isolation chroot --network host $sources ${OPTIONS:-} \
        --build-arg BASE="$BASE" --build-arg VERSION="$version" --build-arg REVISION="$revision" \
        -f "docker/$name.Dockerfile" -t "parsimony-$name" .
done
