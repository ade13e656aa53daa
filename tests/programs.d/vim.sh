# title: Vim
# group: Editors
# does: edit and write with backup, swap and undo files, by rename and in place, a recovered swap file
# users: root ordinary
# needs: vim
# packages: vim
# killed: yes
# version: vim --version | sed 's/.*IMproved //'

work() {
    tree 30
    vim -Nu NONE -es -c 'set undofile undodir=. backup backupext=.bak' -c '%s/line/LINE/' -c 'normal Goadded' -c 'wq' d1/f10
    vim -Nu NONE -es -c 'set backupcopy=yes' -c '1d' -c 'put =\"new\"' -c 'wq' d1/f11; vim -Nu NONE -es -c 'saveas d1/as' -c 'r d0/f2' -c 'x' d1/f12
    ln d2/f20 hard; vim -Nu NONE -es -c 'set backupcopy=auto' -c '$put =1' -c 'wq' hard; vim -Nu NONE -es -c 'argdo %s/tree/TREE/e | update' -c 'q' d2/*
    vim -Nu NONE -es -c 'set directory=.' -c 'normal ochange' -c 'preserve' -c 'call system("kill -9 " . getpid())' d0/f3 || :
    vim -Nu NONE -es -c 'recover' -c 'w! recovered' -c 'q!' d0/f3 </dev/null || :
}

check() {
    sums . | grep -v '\.un~\|\.sw'; ls -A . d0 d1 d2
}
