#!/bin/sh
# Does some parts, one after the other, and remembers which are done. It speaks the step protocol: what it gets is in the
# file WORKTY_INPUT, what it has to say are lines of JSON to WORKTY_EVENTS_FD. What it prints is its log.
set -eu

say() { printf '%s\n' "$1" >"/dev/fd/$WORKTY_EVENTS_FD"; }

# The whole number of this name in the input, or nothing.
number() { sed -n "s/.*\"$1\": *\([0-9][0-9]*\).*/\1/p" "$WORKTY_INPUT"; }

parts=$(number parts)
count=$(number done) # of the memory of the checkpoint that it goes on from

if [ -z "$count" ]; then
    count=0
    say '{"type": "state", "state": "preparing"}'
    echo "$parts parts to do"
fi
while [ "$count" -lt "$parts" ]; do
    say '{"type": "state", "state": "working", "memory": {"done": '"$count"'}}'
    say '{"type": "progress", "progress": '"$(awk "BEGIN { print $count / $parts }")"'}'
    sleep 0.5 # instead: the work on one part
    count=$((count + 1))
done
say '{"type": "state", "state": "finishing", "memory": {"done": '"$count"'}}'
say '{"type": "output", "output": {"done": '"$count"'}}'
