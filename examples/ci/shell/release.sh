#!/bin/sh
# Releases the project in the current folder: release.sh STEP, such as `release.sh minor`.
# DEBFLEET_SERVER, DEBFLEET_TOKEN and the key (DEBFLEET_KEY_FILE or DEBFLEET_KEY) are taken from the environment.
# If it fails at any point, run it again: it continues with the version of the first run.
set -eu

if [ $# -ne 1 ]; then
    echo "usage: release.sh STEP    (patch, minor, major, prerelease, release or a version)" >&2
    exit 2
fi

# What others pushed belongs into the release, and the push below must find nothing new.
git pull --quiet --ff-only
debfleet release "$1" --suite "${DEBFLEET_SUITE:-stable}" --env-file dist/release.env
git push --quiet --follow-tags

. ./dist/release.env
echo "released $DEBFLEET_RELEASED_PACKAGE $DEBFLEET_RELEASED_VERSION"
