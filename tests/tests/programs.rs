//! Families of ordinary programs, the system's own binaries: what they do in V gives the same output
//! and the same tree as in a plain directory, and both legs are equal afterwards.
use mirror_tests::{Fs, FsType, Kind, Pair, in_place, need};

in_place! {
    fn bash(pair) {
        pair.both_ok(BASH);
    }

    fn dash(pair) {
        need!("dash");
        pair.both_ok(r##"
            dash -euc 'echo one > $V/f; echo two >> $V/f; cat < $V/f; exec 4>>$V/f; echo three >&4; exec 4>&-
                : > $V/empty; (cd $V && echo sub > g); while read l; do echo "<$l>"; done < $V/f > $V/h
                cat > $V/doc <<X
here $((1+2))
X
                printf %s no-newline > $V/n; set -C; (echo x > $V/f) 2>/dev/null || echo noclobber'
            cat $V/f $V/h $V/doc; ls $V"##);
    }

    fn coreutils_copy_and_move(pair) {
        pair.both_ok(COPY_AND_MOVE);
    }

    fn coreutils_files(pair) {
        pair.both_ok(FILES);
    }

    fn tar(pair) {
        pair.both_ok(TAR);
    }

    fn gzip(pair) {
        pair.both_ok(r##"
            cd $V; seq 1 20000 > s; gzip -n s; ls; gzip -l s.gz | tail -1; gunzip s.gz; tail -1 s
            gzip -nk9 s; zcat s.gz | cksum; cat s | gzip -n > t.gz; cmp s.gz t.gz && echo same || echo other
            gzip -t t.gz && rm t.gz && gunzip -f s.gz && ls"##);
    }

    fn sed_in_place(pair) {
        pair.both_ok(r##"
            cd $V; seq 1 500 > s; sed -i 's/^4/four/' s; grep -c four s; sed -i.bak -n '1,10p' s; ls
            mkdir d; seq 5 > d/x; chmod 640 d/x; sed -i 2d $V/d/x; cat d/x; stat -c %a d/x
            sed -n 'w out' s; wc -l < out; ln -s s l; sed -i --follow-symlinks 1d l; readlink l; wc -l < s"##);
    }

    fn awk(pair) {
        need!("gawk");
        pair.both_ok(r##"
            cd $V; seq 1 100 > s; gawk '{ print > ("part" $1 % 3) }' s; wc -l part*
            gawk 'BEGIN { for (i = 0; i < 5; i++) print i >> "log"; close("log"); while ((getline l < "log") > 0) print "r" l }'
            gawk 'BEGIN { print "x" | "cat > piped"; close("piped"); system("echo sys > fromsys") }'
            gawk -i inplace '{ print $1 * 2 }' s; tail -1 s; awk '{ n += $1 } END { print n > "sum" }' s; cat sum; ls"##);
    }

    fn perl(pair) {
        need!("perl");
        pair.both_ok(PERL);
    }

    fn patch(pair) {
        need!("patch");
        pair.both_ok(r##"
            cd $V; mkdir a; seq 1 50 > a/f; seq 1 9 > a/g; cp -r a $S/b; sed -i 's/^25$/twenty-five/' $S/b/f; rm $S/b/g; echo n > $S/b/new
            (cd $S; cp -r $V/a .; diff -ruN a b > p || true; sed -i 's/\t.*//' p)
            cd a; patch -p1 < $S/p; cat new; ls; patch -R -p1 < $S/p; ls; sed -i 's/^2.$/x/' f; patch -p1 < $S/p || ls"##);
    }

    fn rsync(pair) {
        need!("rsync");
        pair.both_ok(RSYNC);
    }

    fn find(pair) {
        pair.both_ok(r##"
            cd $V; for d in a b c; do mkdir -p $d/x/y; touch $d/f $d/x/g.o $d/x/y/h.o; done; ln -s a l
            find . | sort; find $V/ -name '*.o' -delete; find . -type f | sort
            find b -exec chmod g+w {} +; find b -printf '%m %p\n' | sort; find c -depth -delete; find . -empty | sort
            find a -type f -exec mv {} {}.moved \;; find a -type f | sort; find . -maxdepth 1 -type d ! -name . -exec rm -r {} +; find ."##);
    }

    fn git(pair) {
        need!("git");
        pair.unstable(&[".git/index", "/index"]);
        pair.both_ok(GIT);
    }

    fn git_gc_and_worktrees(pair) {
        need!("git");
        pair.unstable(&["/index", ".git/gc.log", ".git/objects/info/commit-graph"]);
        pair.both_ok(GIT_GC);
    }

    fn make_and_cc(pair) {
        need!("make", "cc");
        pair.both_ok(MAKE);
    }

    fn scripts_and_interpreters_in_v(pair) {
        pair.both_ok(r##"
            cd $V; mkdir bin; cp /bin/sh bin/mysh; cp /bin/cat bin/mycat
            printf '#!%s/bin/mysh\necho "$0: $*"; echo made > %s/made; exec %s/bin/mycat %s/made\n' $V $V $V $V > bin/script; chmod +x bin/script
            bin/script 1 2; $V/bin/script x; PATH=$V/bin:$PATH script viapath; (cd bin; ./script rel); rm made
            printf 'echo sourced > sourced\n' > lib.sh; . ./lib.sh; cat sourced; find . | sort"##);
    }

    fn python_files(pair) {
        need!("python3");
        pair.both_ok(&python(PYTHON_FILES));
    }

    fn python_subprocess(pair) {
        need!("python3");
        pair.both_ok(&python(PYTHON_SUBPROCESS));
    }

    fn python_sqlite_and_zip(pair) {
        need!("python3");
        pair.unstable(&["z.zip", "persist.db-journal"]);
        pair.both_ok(&python(PYTHON_SQLITE));
    }

    fn sqlite_command(pair) {
        need!("sqlite3");
        pair.both_ok(SQLITE);
    }

    fn vim(pair) {
        need!("vim");
        pair.both_ok(r##"
            cd $V; seq 1 30 > f; chmod 640 f; ln f h
            vim -Nu NONE -i NONE -es -c '%s/^1/one/' -c 'wq' f; head -12 f; stat -c '%a %h' f; cat h | head -1
            vim -Nu NONE -i NONE -es -c 'set backup backupcopy=no backupdir=.' -c '1d' -c 'w' -c 'normal Gofin' -c 'wq' f; ls -A; tail -1 f
            vim -Nu NONE -i NONE -es -c 'call setline(1, "new")' -c 'w new' -c 'saveas! other' -c q; cat new other
            vim -Nu NONE -i NONE -es -c 'set undofile undodir=.' -c 'normal ggix' -c wq new; cat new; rm -f .*un~; ls -A"##);
    }
}

/// The same scripts over two mounted file systems of different types.
fn on_loops(kind: Kind, fs: Fs, scripts: &[&str]) {
    let Some(pair) = Pair::new(kind, fs) else {
        return;
    };
    pair.unstable(&["/index", "z.zip"]);
    for script in scripts {
        pair.both_ok(script);
        let wipe = "shopt -s dotglob; rm -rf $V/* $S/*";
        pair.both_ok(wipe);
    }
}

#[test]
fn loops_ext4_and_xfs_in_place() {
    need!("rsync", "git", "python3", "sqlite3");
    on_loops(Kind::InPlace, Fs::Loop(FsType::Ext4, FsType::Xfs), LOOPS);
}

#[test]
fn loops_xfs_and_ext4_link() {
    need!("rsync", "git", "python3", "sqlite3");
    on_loops(Kind::Link, Fs::Loop(FsType::Xfs, FsType::Ext4), LOOPS);
}

const LOOPS: &[&str] = &[BASH, COPY_AND_MOVE, FILES, TAR, RSYNC, GIT, SQLITE];

fn python(program: &str) -> String {
    format!("cat > $S/t.py <<'PY'\n{program}\nPY\npython3 -B $S/t.py; rm $S/t.py")
}

const BASH: &str = r##"
cd $V
echo one > f; echo two >> f; cat f; : > empty; echo err >&2 2> e
exec 3> held; echo a >&3; echo b >&3; exec 3>&-; cat held
exec 4<> rw; echo first >&4; exec 4>&-; exec 5>> rw; echo second >&5; (echo child >&5); echo third >&5; exec 5>&-; cat rw
{ echo g1; echo g2; } > group; (echo s1; echo s2) > sub; cat group sub
seq 1 1000 | grep 7 | tee t1 t2 | wc -l > count; cat count; cmp t1 t2
cat > doc <<X
here $(wc -l < t1)
X
cat <<< "string" > str; cat doc str
for i in 1 2 3; do echo $i; done > loop; while read -r l; do echo "[$l]" >> loop2; done < loop; cat loop2
echo both &> both; ls /nonexistent >> both 2>&1 || true; wc -l < both
mkdir -p d/e; pushd d/e > /dev/null; echo in > here; echo up > ../up; popd > /dev/null; cat d/up d/e/here
set -o noclobber; { echo no > f; } 2>/dev/null || echo refused; echo yes >| f; cat f
x=$(echo sub > cs; cat cs); echo $x; echo bg > bg & wait; cat bg
trap 'echo trapped > trap' EXIT; printf '%s\n' * | sort"##;

const COPY_AND_MOVE: &str = r##"
cd $V
mkdir src; echo data > src/f; chmod 640 src/f; ln -s f src/l; ln src/f src/h; mkfifo src/p; mkdir src/sub; touch -d @1600000000.5 src/sub/old
cp -a src copy; ls -R copy; stat -c '%a %h %n' copy/*; stat -c '%.9Y' copy/sub/old
cp src/f $S/out; cp $S/out in; cat in; cp -r src/sub rsub; cp --sparse=always /dev/null sp; cp -l src/f hard; cp -s $V/src/f soft; cat soft
mv src moved; mv in renamed; mv renamed moved/; mv -n moved/f moved/renamed; mv -T copy copy2; ls -R
mv $S/out fromoutside; mv fromoutside $S/back; mkdir dd; mv dd $S/dd; mv $S/dd dd2; ls $S; rm $S/back
mv -b moved/h moved/f; ls moved; mv --exchange moved/f dd2 2>/dev/null || true
ln -sf moved link; ln -sfn dd2 link; readlink link; ln -f moved/f moved/again; stat -c %h moved/f
install -m 600 moved/f inst; install -d -m 750 i/j; stat -c '%a %n' inst i/j; install -D -m 644 moved/f q/r/s; cat q/r/s
rm -r copy2; rm -rf moved/sub; rm moved/p; ls -R"##;

const FILES: &str = r##"
cd $V
dd if=/dev/zero of=z bs=4096 count=8 status=none; dd if=/dev/zero of=z bs=1 count=3 seek=100 conv=notrunc status=none; stat -c %s z
printf abc | dd of=z bs=1 seek=10 conv=notrunc,fsync status=none; cksum z; dd if=z of=y bs=1000 count=2 skip=1 status=none; stat -c %s y
dd if=/dev/zero of=app bs=10 count=1 oflag=append conv=notrunc status=none; dd if=/dev/zero of=app bs=10 count=1 oflag=append conv=notrunc status=none; stat -c %s app
seq 1 1000 > s; split -l 300 s part.; wc -l part.*; cat part.* | cmp - s; split -b 100 -d y num.; ls num.*; csplit -s s 500; wc -l xx*
sort -r s -o s; head -1 s; sort -n s -o s; head -1 s; seq 5 | sort -o $V/sorted; uniq s > u; shuf -n 5 s | wc -l
truncate -s 10 s; stat -c %s s; truncate -s +5 s; truncate -s 1M hole; stat -c %s hole; truncate -r s hole; stat -c %s hole; truncate -c -s 5 none; test ! -e none
t=$(mktemp -p $V m.XXXXXX); test -f $t; stat -c %a $t; rm $t; t=$(mktemp -d $V/d.XXXXXX); stat -c %a $t; rmdir $t
echo tee | tee a b | tee -a a3 > c; cat a b c; mkdir -p 1/2/3 1/2/4; mkdir -m 700 priv; stat -c %a priv; rmdir -p 1/2/3 2>/dev/null || ls 1/2
touch new; touch -d @1500000000.123456789 new; stat -c %.9Y new; touch -r new s; stat -c %.9Y s; touch -a a; touch -h -d @1 s
chmod 4755 a; chmod -R u=rwX,go= 1; chmod --reference=b c; stat -c '%a %n' a b c 1 1/2; shred -u -n1 b; test ! -e b
expand s > ex; paste a c > pa; join a a > jo; cut -c1 s > cu; tr a-z A-Z < a > up; cat up; nl c > nl; fold -w2 s > fo; tac a > ta; od -c a > od
comm a c > comm; base64 y > b64; base64 -d b64 | cmp - y; sha1sum a c > sums; sha1sum -c sums; mknod fifo p; unlink fifo; link a a2; stat -c %h a; sync a; sync -d c; sync -f .
fallocate -l 20000 fa; stat -c %s fa; fallocate -p -o 0 -l 4096 fa; fallocate -z -o 8192 -l 100 fa; rm -f nothing; rm -r 1 priv; ls"##;

const TAR: &str = r##"
cd $S; mkdir -p t/d/e; for i in $(seq 1 60); do echo $i > t/d/f$i; done; ln -s d t/l; ln t/d/f1 t/h; chmod 600 t/d/f2; mkfifo t/p
touch -d @1400000000.25 t/d/f3; truncate -s 1M t/sparse; printf x | dd of=t/sparse bs=1 seek=500000 conv=notrunc status=none
tar cf t.tar --sort=name --mtime=@1400000000 --owner=0 --group=0 t
cd $V; tar xf $S/t.tar; find . | sort; stat -c '%a %h %Y %n' t/d/f2 t/h t/d/f3
tar cf own.tar --sort=name --mtime=@1400000000 t/d; tar tf own.tar | wc -l; tar xf own.tar -C $V/t --strip-components=1; ls t | sort
tar czf z.tgz --sort=name --mtime=@1 t/d/e; tar tzf z.tgz; tar rf own.tar --mtime=@1 t/l; tar --delete -f own.tar t/d/f9; tar tf own.tar | wc -l
tar xf $S/t.tar --keep-newer-files t/d/f1; tar xf $S/t.tar --unlink-first t/d/f4; tar xf $S/t.tar --overwrite t; tar cSf s.tar --mtime=@1 t/sparse; rm t/sparse; tar xSf s.tar; cksum t/sparse
tar cf - -C $V t | tar xf - -C $S/ ; rm -rf t; ls; rm -rf $S/t $S/t.tar"##;

const PERL: &str = r##"
cd $V; seq 1 200 > s; perl -pi -e 's/^1/one/' s; head -3 s; perl -pi.orig -e '$_ = "" if $. > 10' s; ls; wc -l < s
perl -e '
  use strict; use warnings; use Fcntl qw(:flock SEEK_SET); use File::Temp; use File::Path qw(make_path remove_tree); use File::Copy;
  open my $f, "+>", "rw" or die $!; print $f "hello world"; seek $f, 6, SEEK_SET; print $f "perl!"; truncate $f, 10; close $f;
  open $f, ">>", "app" or die; flock $f, LOCK_EX or die; print $f "a\n"; syswrite $f, "b\n"; close $f;
  make_path("p/q/r"); copy("s", "p/q/s") or die; move("p/q/s", "p/t") or die; rename "app", "p/app" or die;
  my $t = File::Temp->new(DIR => "."); print $t "x"; close $t; undef $t; link "p/t", "hard" or die; symlink "p/t", "soft" or die;
  chmod 0604, "hard"; utime 1000000000, 1100000000, "hard"; mkdir "gone"; rmdir "gone"; unlink "s.orig"; remove_tree("p/q");
  opendir my $d, "." or die; print join(" ", sort grep !/^\./, readdir $d), "\n"; sysopen my $x, "excl", 0301 | 0100 or die $!; close $x;
  open STDOUT, ">", "stdout" or die; print "redirected\n"; system "echo from child; echo err >> childfile"; close STDOUT;
'; cat rw p/app stdout childfile; stat -c '%a %Y %h' hard; readlink soft"##;

const RSYNC: &str = r##"
cd $S; mkdir -p src/d/e; for i in $(seq 1 40); do seq $i 200 > src/d/f$i; done; ln -s d src/l; ln src/d/f1 src/d/h; chmod 640 src/d/f2
touch -d @1450000000.75 src/d/f3
rsync -aH src/ $V/t/; find $V/t | sort | wc -l; stat -c '%a %h' $V/t/d/f2 $V/t/d/h; stat -c %.2Y $V/t/d/f3; rm src/d/f4 src/d/f5; echo new > src/d/f6; touch -d @1500000000 src/d/f6; echo extra > $V/t/extra
rsync -aHiO --delete src/ $V/t/ | sort; rsync -aHO --delete --dry-run -i src/ $V/t/; echo x >> src/d/f10; rsync -a --inplace --no-whole-file src/d/ $V/t/d/; cmp src/d/f10 $V/t/d/f10
rsync -a --backup --suffix=.old --checksum src/ $V/t/; rsync -a --remove-source-files $V/t/d/e/ $V/t/e2; rsync -aH $V/t/ $S/back/; diff -r src back && echo same
rsync -a --delete --exclude=keep $S/back/ $V/; ls $V; rsync -a --delete $S/back/d/e/ $V/; ls -A $V; rsync -aR src/./d/e $V; ls $V; rm -rf $S/src $S/back"##;

const GIT: &str = r##"
cd $V; git init -q -b main repo; cd repo; git config gc.auto 0; mkdir d; for i in $(seq 1 30); do echo $i > d/f$i; done; echo '#!/bin/sh' > run; chmod +x run; ln -s d/f1 link
git add -A; git commit -qm one; git status --short; echo more >> d/f1; git mv d/f2 d/renamed; git rm -q d/f3; git commit -qam two; git log --oneline | wc -l
git checkout -q -b side HEAD~1; echo side > side; git add side; git commit -qm side; git checkout -q main; git merge -q --no-edit side; ls; git tag v1; git branch -d side
echo dirty >> d/f4; git stash -q; git stash pop -q; git diff --stat; git checkout -q -- d/f4; git reset -q --hard HEAD~1; git clean -fdq; git status --short; git fsck --no-progress
cd $V; git clone -q repo clone; cd clone; git log --oneline | wc -l; git config gc.auto 0; echo c > c; git add c; git commit -qm c; git push -q origin HEAD:refs/heads/pushed; cd ../repo; git branch --list
git -C $V/repo archive --format=tar -o $V/a.tar v1; tar tf $V/a.tar | wc -l; git clone -q --bare --no-local $V/repo $V/bare.git; git -C $V/bare.git fsck --no-progress; git -C $V/clone rebase -q HEAD~1; cat $V/repo/link"##;

const GIT_GC: &str = r##"
cd $V; git init -q -b main r; cd r; git config gc.autoDetach false; git config core.logAllRefUpdates true; for i in 1 2 3 4 5; do echo $i > f$i; git add .; git commit -qm $i; done
git gc -q; git count-objects -v | grep -E 'count|in-pack|packs'; git repack -qad; git prune; git worktree add -q ../w HEAD~2; ls ../w; git worktree remove ../w; git pack-refs --all; git fsck --no-progress
git clone -q --shared . ../shared; cat ../shared/f5; git submodule status; git notes add -m note; git notes show; git -C ../shared fetch -q; git bundle create -q ../b.bundle main; git clone -q -b main ../b.bundle ../fromb; ls ../fromb; rm -rf ../shared"##;

const MAKE: &str = r##"
cd $V; mkdir proj; cd proj; for i in 1 2 3 4 5 6; do printf 'int f%d(void){return %d;}\n' $i $i > f$i.c; done
printf 'int f1(void),f6(void);\n#include <stdio.h>\nint main(void){printf("%%d\\n",f1()+f6());return 0;}\n' > main.c
cat > Makefile <<'X'
O = f1.o f2.o f3.o f4.o f5.o f6.o
prog: main.o lib.a
	cc -o $@ main.o lib.a
lib.a: $(O)
	rm -f $@; ar rcD $@ $(O)
%.o: %.c
	cc -O1 -c -o $@ $<
gen.h: gen.sh
	sh gen.sh > $@
clean:
	rm -f *.o lib.a prog
X
make -j4 > log 2>&1; sort log | head -20; ./prog; touch f1.c; make -s; make -q && echo fresh; echo 'echo "#define X 1"' > gen.sh; make -s gen.h; cat gen.h
mkdir lib; printf 'int g(void){return 42;}\n' > g.c; cc -shared -fPIC -Wl,--build-id=none -o lib/libg.so g.c; printf 'int g(void);int main(void){return g();}\n' > u.c
cc -Wl,--build-id=none -o u u.c -Llib -lg -Wl,-rpath,'$ORIGIN/lib'; ./u || echo $?; make -s clean; ls"##;

const PYTHON_FILES: &str = r##"
import os, shutil, tempfile, stat, errno, fcntl, pathlib, glob, io, mmap
V = os.environ["V"]; os.chdir(V)
with open("f", "w") as f: f.write("hello\n" * 100)
with open("f", "r+b", buffering=0) as f: f.seek(5); f.write(b"XX"); f.truncate(50); os.fsync(f.fileno())
with open("f", "ab") as f: f.write(b"tail"); f.flush(); os.fdatasync(f.fileno()); print(f.tell())
fd = os.open("g", os.O_CREAT | os.O_RDWR | os.O_EXCL, 0o640)
print(os.write(fd, b"0123456789"), os.pwrite(fd, b"ab", 3), os.writev(fd, [b"v1", b"v2"]), os.pwritev(fd, [b"p", b"q"], 0), os.lseek(fd, 0, 1))
os.ftruncate(fd, 30); os.fchmod(fd, 0o600); os.utime(fd, ns=(1, 1234567890123456789)); os.posix_fallocate(fd, 0, 100); print(os.fstat(fd).st_size, os.pread(fd, 12, 0)); os.close(fd)
os.makedirs("a/b/c", exist_ok=True); os.link("g", "a/hard"); os.symlink("../g", "a/sym"); os.rename("f", "a/f"); os.replace("a/f", "a/b/f"); os.renames("a/b/f", "n/m/f")
d = os.open("a", os.O_RDONLY | os.O_DIRECTORY)
x = os.open("byfd", os.O_CREAT | os.O_WRONLY, 0o644, dir_fd=d); os.write(x, b"dirfd"); os.close(x)
os.mkdir("sub", dir_fd=d); os.rename("byfd", "sub/moved", src_dir_fd=d, dst_dir_fd=d); os.chmod("sub", 0o711, dir_fd=d); os.symlink("x", "s2", dir_fd=d); os.unlink("s2", dir_fd=d); os.close(d)
try: os.setxattr("g", "user.color", b"blue"); print(os.listxattr("g"), os.getxattr("g", "user.color")); os.setxattr("g", "user.gone", b"1"); os.removexattr("g", "user.gone")
except OSError as e: print(errno.errorcode[e.errno])
shutil.copytree("a", "copy", symlinks=True); shutil.copy2("g", "g2"); shutil.move("copy", "moved"); shutil.copyfile("g", "g3"); shutil.rmtree("moved/sub"); shutil.make_archive("arch", "tar", "a")
os.unlink("arch.tar")
with tempfile.NamedTemporaryFile(dir=V) as t: t.write(b"x"); t.flush(); print(os.path.exists(t.name))
with tempfile.TemporaryDirectory(dir=V) as t: pathlib.Path(t, "y").write_text("z")
with tempfile.TemporaryFile(dir=V) as t: t.write(b"anonymous"); t.seek(0); print(t.read())
with tempfile.SpooledTemporaryFile(max_size=3, dir=V) as t: t.write(b"spooled over")
p = pathlib.Path("pl"); p.write_text("one"); p.chmod(0o604); p.rename("pl2"); pathlib.Path("pl2").touch(); pathlib.Path("td").mkdir(); pathlib.Path("td").rmdir()
with open("l", "w") as f:
    fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB); fcntl.lockf(f, fcntl.LOCK_EX); f.write("locked"); f.flush(); fcntl.lockf(f, fcntl.LOCK_UN)
for call in (lambda: os.mkdir("a"), lambda: os.rmdir("a"), lambda: os.open("none", os.O_WRONLY), lambda: os.unlink("n"), lambda: os.rename("none", "x"), lambda: os.open("g", os.O_CREAT | os.O_EXCL), lambda: os.listdir("g"), lambda: os.readlink("g")):
    try: call(); print("no error")
    except OSError as e: print(errno.errorcode[e.errno])
with open("g", "rb") as f, mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ) as m: print(m[:4])
with open("big", "wb") as f:
    for i in range(300): f.write(bytes([i % 251]) * 4099)
with open("big", "rb") as s, open("sf", "wb") as t: shutil.copyfileobj(s, t)
os.truncate("big", 1000); w = open("u", "w", encoding="utf-16"); w.write("\u00e4\u20ac"); w.close(); os.mkfifo("fifo", 0o600)
old = os.umask(0o077); open("private", "w").close(); os.umask(old); os.sync(); print(sorted(glob.glob("**", recursive=True)))
print(sorted((e.name, e.is_dir(), stat.filemode(e.stat(follow_symlinks=False).st_mode)) for e in os.scandir(V)))
"##;

const PYTHON_SUBPROCESS: &str = r##"
import os, subprocess, sys, multiprocessing, threading, logging, logging.handlers
V = os.environ["V"]; os.chdir(os.environ["S"]); os.makedirs(V + "/d/e")
with open(V + "/out", "w") as f, open(V + "/err", "w") as e:
    print(subprocess.run(["sh", "-c", "echo out; echo err >&2; exit 3"], stdout=f, stderr=e).returncode)
with open(V + "/out", "a") as f: subprocess.run(["pwd"], cwd=V + "/d", stdout=f, check=True); subprocess.check_call("echo shell", shell=True, stdout=f)
subprocess.run(["sh", "-c", "echo x > rel; mkdir sub; echo y > sub/z"], cwd=V + "/d", check=True)
print(os.getcwd() == os.environ["S"]); open("inS", "w").close(); os.chdir(V); subprocess.run(["sh", "-c", "echo incwd > cwdfile"])
open("after", "w").write("1"); subprocess.run(["touch", "q"], cwd="d/e"); open("after2", "w").write("2")
p = subprocess.Popen(["tee", V + "/teed"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL); p.communicate(b"piped" * 20000); print(p.returncode)
fd = os.open(V + "/inherit", os.O_CREAT | os.O_WRONLY); subprocess.run(["sh", "-c", f"echo inherited >&{fd}"], pass_fds=[fd]); os.write(fd, b"parent\n"); os.close(fd)
subprocess.run(["sh", "-c", "echo newsession > ns"], start_new_session=True); subprocess.run(["sh", "-c", "umask; : > um"], preexec_fn=lambda: os.umask(0o027))
pid = os.posix_spawn("/bin/sh", ["sh", "-c", "echo spawned"], os.environ, file_actions=[(os.POSIX_SPAWN_OPEN, 1, V + "/spawned", os.O_CREAT | os.O_WRONLY, 0o600)]); os.waitpid(pid, 0)
os.system("echo system > system"); w = os.popen("cat > popen", "w"); w.write("to popen\n"); w.close()
if os.fork() == 0: open("forked", "w").write("child"); os._exit(0)
os.wait()
def work(i):
    with open(f"{V}/mp{i}", "w") as f: f.write(str(i) * 1000)
    return i
with multiprocessing.get_context("fork").Pool(3) as pool: print(sum(pool.map(work, range(8))))
ts = [threading.Thread(target=lambda i=i: open(f"th{i}", "w").write("t" * i)) for i in range(10)]; [t.start() for t in ts]; [t.join() for t in ts]
h = logging.handlers.RotatingFileHandler("log", maxBytes=200, backupCount=2); l = logging.getLogger("x"); l.addHandler(h)
for i in range(30): l.error("line %d", i)
sys.stdout.flush(); print(subprocess.check_output("find . | sort", shell=True, text=True)); print(open("out").read(), open("popen").read(), open("inherit").read())
"##;

const PYTHON_SQLITE: &str = r##"
import os, sqlite3, zipfile, gzip, shelve, pickle, json, csv, configparser, tarfile, bz2, lzma
V = os.environ["V"]; os.chdir(V)
for mode in ("delete", "truncate", "persist", "memory"):
    c = sqlite3.connect(mode + ".db", isolation_level=None); print(c.execute("pragma journal_mode=" + mode).fetchone())
    c.execute("create table t(id integer primary key, v text)")
    for i in range(40): c.execute("insert into t(v) values (?)", ("x" * i,))
    c.execute("begin"); c.execute("delete from t"); c.execute("rollback"); c.execute("update t set v='u' where id<10"); c.execute("vacuum")
    d = sqlite3.connect(mode + ".db"); print(d.execute("select count(*), sum(length(v)) from t").fetchone(), c.execute("pragma integrity_check").fetchone()); d.close(); c.close()
with zipfile.ZipFile("z.zip", "w", zipfile.ZIP_DEFLATED) as z:
    for i in range(5): z.writestr(f"d/f{i}", "data" * 100)
with zipfile.ZipFile("z.zip", "a") as z: z.writestr("added", "x")
with zipfile.ZipFile("z.zip") as z: z.extractall("unz"); print(sorted(z.namelist()))
for m, o in (("gz", lambda n, md: gzip.GzipFile(n, md, mtime=0)), ("bz2", bz2.open), ("xz", lzma.open)):
    with o("c." + m, "wb") as f: f.write(b"compress" * 5000)
    with o("c." + m, "rb") as f: print(len(f.read()))
with shelve.open("sh", "n") as s: s["k"] = [1, 2]
with open("p", "wb") as f: pickle.dump({"a": 1}, f)
with open("j", "w") as f: json.dump(list(range(100)), f, indent=1)
with open("c.csv", "w", newline="") as f: csv.writer(f).writerows([[1, 2], ["a", "b"]])
for n in os.listdir("."):
    if n.startswith("sh"): os.unlink(n)
print(sorted(os.listdir(".")))
"##;

const SQLITE: &str = r##"
cd $V; sqlite3 a.db 'pragma journal_mode=delete; create table t(a integer primary key, b text); begin; insert into t(b) values (1),(2),(3); commit; select * from t;'
for i in 1 2 3 4 5; do sqlite3 $V/a.db "insert into t(b) values ('row $i')"; done; sqlite3 a.db 'select count(*) from t; pragma integrity_check'
sqlite3 a.db '.backup copy.db'; sqlite3 copy.db 'delete from t where a < 3; vacuum; select * from t'; sqlite3 a.db .dump > dump.sql; sqlite3 new.db < dump.sql; sqlite3 new.db 'select max(a) from t'
sqlite3 a.db "attach 'second.db' as s; create table s.u as select * from t; begin; update t set b='x'; delete from s.u where a=1; commit; select count(*) from s.u;"
sqlite3 a.db ".mode csv" ".output out.csv" "select * from t" ; cat out.csv; sqlite3 a.db 'begin immediate; insert into t(b) values(9); rollback; select count(*) from t'; ls"##;
