# title: rclone
# group: Programs that cannot be mirrored
# does: as the child of a mirrored shell: copy, sync
# needs: rclone
# packages: rclone
# version: rclone version
# note: written in Go: it makes its system calls itself, and as a child it reaches one leg.

work() {
    mkdir "$S/from"; (cd "$S/from" && tree 40); rclone -q copy "$S/from" to; rm "$S/from/d1/f10"; rclone -q sync "$S/from" to
}

check() { sums to; }
