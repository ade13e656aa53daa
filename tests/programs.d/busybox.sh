# title: BusyBox (static)
# group: Programs that cannot be mirrored
# does: as the own command of `mirror run`
# needs: /usr/bin/busybox
# packages: busybox-static
# version: busybox
# refused: Refused
# note: a static program: `mirror run` refuses it before it starts. As a child of a mirrored program it runs and reaches one leg.

work() { $RUN busybox touch file; }

check() { ls; }
