# title: Unison
# group: Backups
# does: two roots made equal, changes on both, a deletion, backups kept
# needs: unison
# packages: unison
# version: unison -version

work() {
    tree 40; mkdir there; export UNISON=$PWD/archive
    sync() { unison "$PWD/d1" "$PWD/there" -batch -silent -auto -times -perms -1 -backuploc central -backupdir "$PWD/kept" -backup 'Name *' "$@"; }
    sync; echo more >> d1/f10; rm there/f11; echo new > there/new; chmod 600 d1/f12; sync; mkdir there/sub; mv there/f13 there/sub; sync
}

check() {
    sums d1; sums there; find there d1 -printf '%P %m\n' | LC_ALL=C sort
}
