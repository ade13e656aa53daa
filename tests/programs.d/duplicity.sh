# title: duplicity
# group: Backups
# does: full and incremental backups to a directory, restore, verify
# needs: duplicity
# packages: duplicity
# version: duplicity --version
# limit: 600

d() { duplicity "$@" --no-encryption --archive-dir "$PWD/archive" >/dev/null; }

work() {
    mkdir from; (cd from && tree 60); d full from "file://$PWD/to"; echo new > from/d1/new; rm from/d2/f20; d incr from "file://$PWD/to"; d restore "file://$PWD/to" out
}

check() {
    diff -r from out && echo same; d verify "file://$PWD/to" from && echo verified; ls to | sed 's/[0-9TZ]\{16\}/T/g' | sort
}
