# title: Perl, DBI
# group: Languages and their tools
# does: forked writers on one SQLite database and one log, pipes between them
# needs: perl /usr/lib/x86_64-linux-gnu/perl5/5.36/DBD/SQLite.pm
# packages: perl libdbd-sqlite3-perl
# version: perl -MDBD::SQLite -e 'print $DBD::SQLite::VERSION'

work() {
    perl -MDBI -MFcntl=:flock -e '
        my $open = sub { my $d = DBI->connect("dbi:SQLite:dbname=db", "", "", { RaiseError => 1, AutoCommit => 1 }); $d->sqlite_busy_timeout(60000); $d };
        my $d = $open->(); $d->do("create table t(w int, i int)"); $d->disconnect;
        for my $w (1 .. 4) { next if fork; my $d = $open->(); for my $i (1 .. 15) { $d->begin_work; $d->do("insert into t values(?, ?)", {}, $w, $i); $d->commit; open(my $l, ">>", "log") or die; flock($l, LOCK_EX); print $l "$w\n"; close $l } $d->disconnect; exit }
        1 while wait != -1; open(my $p, "|-", "sort -n > sorted") or die; print $p "$_\n" for reverse 1 .. 300; close $p or die'
}

check() { perl -MDBI -e 'my $d = DBI->connect("dbi:SQLite:dbname=db"); print join(" ", map { @$_ } @{$d->selectall_arrayref("select w, count(*), sum(i) from t group by w order by w")}), $d->selectrow_array("pragma integrity_check"), "\n"'; sort log | uniq -c; sha256sum sorted; }
