# title: TDB, Berkeley DB, SDBM, ndbm
# group: Databases
# does: key and value files by tdb-tools, and by Perl's and Python's bindings: stores, deletions, reorganisation
# needs: tdbtool tdbbackup dpkg-query /usr/bin/python3 perl
# packages: tdb-tools perl python3
# version: dpkg-query -W tdb-tools

work() {
    { echo 'create one.tdb'; for i in $(seq 60); do echo "insert key$i value$i"; done; echo 'delete key7'; echo 'store key8 other'; } | tdbtool >/dev/null 2>&1
    tdbbackup one.tdb; printf 'transaction_start\ninsert late value\ntransaction_commit\nrepack\n' | tdbtool one.tdb >/dev/null 2>&1
    perl -MDB_File -MSDBM_File -MFcntl -e 'for my $k (qw(BTREE HASH)) { tie my %h, "DB_File", "db.$k", O_CREAT | O_RDWR, 0644, $k eq "BTREE" ? $DB_BTREE : $DB_HASH or die; $h{"k$_"} = "v" x $_ for 1 .. 200; delete $h{"k$_"} for 50 .. 99; untie %h } tie my %s, "SDBM_File", "sdbm", O_CREAT | O_RDWR, 0644 or die; $s{$_} = $_ ** 2 for 1 .. 200; delete $s{5}'
    /usr/bin/python3 -c 'import dbm.ndbm as n, dbm.dumb as d
for m, f in ((n, "ndbm"), (d, "dumb")):
    with m.open(f, "c") as h:
        for i in range(100): h[str(i)] = "v" * i
        del h["3"]'
}

check() {
    printf 'keys\ncheck\n' | tdbtool one.tdb | LC_ALL=C sort | sha256sum; printf 'keys\n' | tdbtool one.tdb.bak | LC_ALL=C sort | sha256sum
    perl -MDB_File -MFcntl -e 'for (qw(BTREE HASH)) { tie my %h, "DB_File", "db.$_", O_RDONLY, 0644, $_ eq "BTREE" ? $DB_BTREE : $DB_HASH or die; print scalar(keys %h), " $h{k150}\n" }'
    /usr/bin/python3 -c 'import dbm.ndbm as n; h = n.open("ndbm", "r"); print(len(h.keys()), h["50"])'; ls
}
