#!/bin/sh
# An agent's program: the task on standard input, its result on standard output. It runs once per
# task, as
#   troupe agent run --role implementer --capability words:0.9 --exec examples/first-fleet/agent.sh
# This one counts the words of the task's payload, or adds up what its dependencies counted. It needs
# nothing but a shell; a real one reads the JSON with a real parser.
set -eu
task=$(cat)

echo "task $TROUPE_TASK_ID, attempt $TROUPE_EPOCH, as $TROUPE_AGENT" >&2

case $task in
*'"key":"total"'*)
    # Every input carries {"words":N}.
    total=0
    for words in $(printf '%s' "$task" | grep -o '"result":{"words":[0-9]*}' | grep -o '[0-9]*'); do
        total=$((total + words))
    done
    printf '{"words":%d}\n' "$total"
    ;;
*)
    text=$(printf '%s' "$task" | sed -n 's/.*"payload":"\([^"]*\)".*/\1/p')
    printf '{"words":%d}\n' "$(printf '%s' "$text" | wc -w)"
    ;;
esac
