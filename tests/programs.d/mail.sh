# title: procmail, formail, lockfile, mutt
# group: Servers
# does: copies of the first and third without their set-id bits (with these they cannot be mirrored): deliveries to mbox, Maildir and MH with lock files by several processes at once, mutt saving from mbox to Maildir
# needs: procmail formail lockfile mutt
# packages: procmail mutt
# version: procmail -v

work() {
    # With their set-id bits they cannot be mirrored.
    mkdir "$S/bin"; for p in procmail lockfile; do install -m 755 "$(command -v $p)" "$S/bin"; done; PATH=$S/bin:$PATH
    mkdir -p new; printf 'MAILDIR=%s\nLOGFILE=log\nDEFAULT=inbox\n:0:\n* ^Subject: one\none.mbox\n:0\n* ^Subject: two\ntwo/\n:0\n* ^Subject: three\nthree/.\n:0c:\ncopies\n' "$PWD" > rc; mkdir three; chmod 600 rc
    for i in 1 2 3 4 5 6 7 8; do for s in one two three four; do printf 'From a@b Mon Jan  1 00:00:00 2024\nFrom: a@b\nSubject: %s %d\nMessage-ID: <%d.%s@x>\n\nbody %d\n' $s $i $i $s $i | procmail -m "$PWD/rc" & done; wait; done
    lockfile one.lock; rm -f one.lock; formail -D 8192 ids < one.mbox >/dev/null || :; formail -s cat < one.mbox > split
    mutt -n -F /dev/null -e "set mbox_type=Maildir confirmappend=no confirmcreate=no delete=yes quit=yes copy=no" -f one.mbox -e "push '<tag-pattern>~A<enter><tag-prefix><save-message>$PWD/saved<enter><quit>'" </dev/null >/dev/null 2>&1 || :
}

check() {
    grep -c '^Subject: one' split; ls two/new | wc -l; ls three | LC_ALL=C sort; grep -h '^Subject' inbox copies | LC_ALL=C sort; cat three/* | grep Subject | LC_ALL=C sort
}
