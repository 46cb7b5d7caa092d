#!/bin/sh
# An agent's program for messages: the message on standard input, the response on standard output. It
# runs once per message, as
#   troupe agent run --role helper --capability translation:0.9 --on-message examples/first-messages/answer.sh
# Exit code 0 acknowledges the message, 65 refuses it, any other lets it come again. This one says what
# it heard; a real one reads the JSON with a real parser.
set -eu
message=$(cat)

echo "message $TROUPE_MESSAGE_ID, delivery $TROUPE_ATTEMPT, as $TROUPE_AGENT" >&2

body=$(printf '%s' "$message" | sed -n 's/.*"body":"\([^"]*\)".*/\1/p')
printf '%s heard: %s\n' "$TROUPE_AGENT" "$body"
