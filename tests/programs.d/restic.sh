# title: restic
# group: Programs that cannot be mirrored
# does: as the own command of `mirror run`
# needs: restic
# packages: restic
# version: restic version
# refused: Refused
# note: written in Go: it makes its system calls itself, and `mirror run` refuses it before it starts.

work() { export RESTIC_PASSWORD=x; $RUN restic init -q -r "$PWD/repo"; }

check() { RESTIC_PASSWORD=x restic -q -r repo check >/dev/null && echo sound; }
