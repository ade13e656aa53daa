# title: rdiff-backup
# group: Backups
# does: two backups, a restore of the first, verify
# needs: rdiff-backup
# packages: rdiff-backup
# version: rdiff-backup --version
# limit: 600

work() {
    mkdir from; (cd from && tree 60 && ln d0/f1 hard); rdiff-backup --current-time 1700000000 backup from to 2>/dev/null; echo new >> from/d1/f10; rm from/d2/f20; rdiff-backup --current-time 1700000100 backup from to 2>/dev/null; rdiff-backup restore --at 1700000000 to first 2>/dev/null
}

check() {
    rdiff-backup verify to >/dev/null 2>&1 && echo verified; sums first; sums to | grep -v rdiff-backup-data; rdiff-backup list increments to | grep -c increments
}
