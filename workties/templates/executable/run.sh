#!/bin/bash
# Does some parts, one after the other. It speaks the step protocol: what it gets is in the file $WORKTY_INPUT, and what
# it has to say are lines of JSON to the descriptor $WORKTY_EVENTS_FD. Plain output is the step's log.
set -euo pipefail

say() {
    echo "$1" >&"$WORKTY_EVENTS_FD"
}

# The whole number in the input that has this name, or what is given otherwise.
number() {
    found=$(sed -n "s/.*\"$1\":\([0-9]*\).*/\1/p" "$WORKTY_INPUT")
    echo "${found:-$2}"
}

parts=$(number parts 3)
count=$(number done 0)

say '{"type": "state", "state": "preparing"}'
echo "$parts parts to do"

while [ "$count" -lt "$parts" ]; do
    say "{\"type\": \"state\", \"state\": \"working\", \"memory\": {\"done\": $count}}"
    say "{\"type\": \"progress\", \"progress\": $(echo "$count $parts" | awk '{ print $1 / $2 }')}"
    sleep 0.5 # instead: the work on one part
    count=$((count + 1))
done

say "{\"type\": \"state\", \"state\": \"finishing\", \"memory\": {\"done\": $count}}"
say "{\"type\": \"output\", \"output\": {\"done\": $count}}"
