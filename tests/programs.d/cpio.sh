# title: cpio
# group: Files and archives
# does: archives in three formats, copy-out, copy-in over files, pass-through with links and times
# needs: cpio
# packages: cpio
# version: cpio --version
# users: root ordinary

work() {
    tree 40; ln d1/f10 d1/hard; ln -s f11 d1/soft; mkfifo d1/pipe; chmod 640 d1/f12
    for f in newc crc ustar; do find d0 d1 | LC_ALL=C sort | cpio -o --quiet -H $f > $f.cpio; mkdir in.$f; (cd in.$f && cpio -idm --quiet < ../$f.cpio); done
    echo old > in.crc/d1/f10; (cd in.crc && cpio -iu --quiet 'd1/f1*' < ../crc.cpio); mkdir passed; find d1 d2 | cpio -pdlm --quiet passed; mkdir apart; find d1 d2 | cpio -pdm --quiet apart
}

check() {
    for f in newc crc ustar; do cpio -t --quiet < $f.cpio; sums in.$f; done; sums passed; stat -c '%n %h %a' apart/d1/* | LC_ALL=C sort
}
