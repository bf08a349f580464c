#!/bin/sh
# Makes of a static library one whose only names are weir_*: archive.sh FROM TO SCRATCH-DIR CC...
set -eu
from=$1
to=$2
dir=$3
shift 3

mkdir -p "$dir"
"$@" -r -nostdlib -o "$dir/weir-step.o" -Wl,--whole-archive "$from"
objcopy --wildcard --keep-global-symbol='weir_*' "$dir/weir-step.o"
rm -f "$to"
ar rcs "$to" "$dir/weir-step.o"
