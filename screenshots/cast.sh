#!/bin/sh
# Records screenshots/demo.cast: a walk through the demo by keys at fixed times. `highwater record` in a terminal of its
# own (util-linux' script), 120x36. Usage: screenshots/cast.sh PATH-OF-HIGHWATER
set -eu
file=$(dirname "$0")/demo.cast
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
rm -f "$file"
# Seconds, then what is pressed after them.
walk() {
    while read -r seconds keys; do
        sleep "$seconds"
        printf "$keys"
    done <<'KEYS'
9 j
1 j
1 k
1 k
1 \r
4 e
4 \033
1 w
5 \033
1 2
3 3
3 5
3 6
3 7
3 1
2 q
1
KEYS
}
export HOME="$home" XDG_STATE_HOME="$home" LANG=C.UTF-8 TERM=xterm-256color COLORTERM=truecolor
unset NO_COLOR TMUX
walk | script -qec "stty cols 120 rows 36; '$1' record '$file' --demo fraud" /dev/null >/dev/null
chmod 644 "$file"
