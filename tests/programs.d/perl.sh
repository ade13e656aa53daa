# title: Perl
# group: Languages and their tools
# does: -pi and -i.bak, File::Copy, File::Path, File::Temp, Storable, SDBM_File, flock
# needs: perl
# packages: perl
# version: perl -e 'print "$^V"'

work() {
    tree 60; perl -pi -e 's/line/LINE/' d1/*; perl -i.bak -ne 'print unless /tree/' d2/*
    perl -MFile::Copy=copy,move -MFile::Path=make_path,remove_tree -MFile::Temp=tempfile -MStorable=lock_store -MFcntl=:flock,O_RDWR,O_CREAT -MSDBM_File -e '
        make_path("a/b/c"); copy("d3/f30", "a/b/c/f"); move("d3/f31", "a/f"); remove_tree("d4");
        my ($h, $n) = tempfile(DIR => "."); print $h "temporary\n"; close $h; rename $n, "named";
        lock_store({ map { $_ => $_ * $_ } 1 .. 50 }, "stored");
        tie(my %h, "SDBM_File", "sdbm", O_RDWR | O_CREAT, 0644) or die; $h{$_} = "v$_" for 1 .. 300; delete $h{7}; untie %h;
        for (1 .. 20) { open(my $f, ">>", "log") or die; flock($f, LOCK_EX); print $f "entry $_\n"; close $f }
        open(my $f, "+<", "d5/f50") or die; seek $f, 5, 0; print $f "XX"; truncate $f, 9; utime 1000000000, 1000000000, "d5/f50"; chmod 0600, "d5/f51"; symlink "named", "link"; link "named", "hard"'
}

check() {
    perl -MStorable=retrieve -MFcntl -MSDBM_File -e 'print join(",", map { "$_=" . retrieve("stored")->{$_} } 1 .. 50), "\n"; tie(my %h, "SDBM_File", "sdbm", O_RDONLY, 0) or die; print scalar(keys %h), " $h{300}\n"'
    sums d1; sums d2; sums d5; sums a; cat named log; readlink link; stat -c %h hard
}
