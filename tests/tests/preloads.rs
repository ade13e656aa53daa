//! Programs that have other libraries preloaded beside the mirror's, or a sanitizer's runtime that wants to be first:
//! the plain directory's answers, equal legs.
use mirror_tests::{Kind, Pair, compile_with, have, skip};

/// What each does, in `$V`, once the library is seen in it.
const WORK: &str = r#"set -e; grep -q "$BESIDE" /proc/self/maps; cd $V; mkdir -p d/e; echo one > d/f; cp d/f d/g; mv d/g d/e/h; ln -s f d/l; ln d/f d/e/i
    chmod 600 d/f; echo two >> d/e/h; truncate -s 10 d/e/h; [ $(id -u) != 0 ] || chown 5:6 d/f
    tar -cf t.tar --mtime=@1600000000 d; rm -r d; tar -xf t.tar; rm t.tar
    python3 -B -c '
import os, sqlite3, threading
db = sqlite3.connect("db"); db.execute("create table t(x)"); db.executemany("insert into t values(?)", [(i,) for i in range(50)]); db.commit()
print(db.execute("select sum(x) from t").fetchall()); db.close()
def work(i):
    for k in range(20):
        open("p%d" % i, "w").write("x" * 900); os.rename("p%d" % i, "q%d" % i)
t = [threading.Thread(target=work, args=(i,)) for i in range(3)]
[x.start() for x in t]; [x.join() for x in t]; print(sorted(os.listdir(".")), os.stat("q1").st_size)'
    stat -c '%n %s %a %u' d/f d/e/h q2; id -u; env -i PATH=$PATH sh -c 'echo more >> d/f; cat d/f'"#;

const LIBRARIES: &str = "/usr/lib/x86_64-linux-gnu";

/// The work with a library of this file preloaded.
fn preloaded(file: &str) {
    let library = format!("{LIBRARIES}/{file}");
    if !std::path::Path::new(&library).exists() {
        return skip(format!("needs {library}"));
    }
    works(file, &format!("env LD_PRELOAD={library} sh"));
}

/// `beside`: a part of the library's name, which must be loaded.
fn works(beside: &str, by: &str) {
    if !have("python3") {
        return skip("needs python3");
    }
    let pair = Pair::striped(Kind::InPlace, None);
    std::fs::write(pair.programs().join("work"), WORK).unwrap();
    // What databases and archives say of times differs from run to run.
    pair.unstable(&["db"]);
    let o = pair.both(&format!("export BESIDE={beside}; {by} $P/work"));
    assert!(o.code == 0 && o.text().contains("[(1225,)]"), "{o:?}");
}

#[test]
fn jemalloc() {
    preloaded("libjemalloc.so.2");
}

#[test]
fn libeatmydata() {
    preloaded("libeatmydata.so");
}

#[test]
fn libfaketime() {
    preloaded("faketime/libfaketime.so.1");
}

#[test]
fn fakeroot() {
    if !have("fakeroot") {
        return skip("needs fakeroot");
    }
    works("libfakeroot", "fakeroot sh");
}

#[test]
fn fakechroot() {
    if !have("fakechroot") {
        return skip("needs fakechroot");
    }
    works("libfakechroot", "fakechroot sh");
}

const SANITIZED: &str = r#"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
int main(int c, char **v) {
    FILE *f = fopen(v[1], "a");
    char *p = malloc(10);
    if (!f || fprintf(f, "%d\n", c) < 0 || fclose(f)) return 3;
    memset(p, 0, c > 2 ? 11 : 10);
    free(p);
    return 0;
}"#;

/// Started by a mirrored program: by exec, by a child of vfork, with an environment of its own.
fn sanitizer(name: &str, ends: i32) {
    let pair = Pair::striped(Kind::InPlace, None);
    let flag = format!("-fsanitize={name}");
    let probe = format!("echo 'int main(){{}}' | cc -x c - {flag} -o /dev/null");
    if pair.plain(&probe).code != 0 {
        return skip(format!("cannot compile with {flag}"));
    }
    let flags = ["-O0", flag.as_str()];
    if compile_with(&pair.programs(), "checked", SANITIZED, "c", &flags).is_none() {
        return;
    }
    let quiet = "ASAN_OPTIONS=detect_leaks=0 TSAN_OPTIONS=report_bugs=1";
    let o = pair.both(&format!(
        "cd $V; export {quiet}; $P/checked f; echo $?; (exec $P/checked f); echo $?
        env -i {quiet} $P/checked f; echo $?; env -i $P/checked f 2> /dev/null; echo $?
        python3 -B -c 'import subprocess; print(subprocess.run([\"'$P'/checked\", \"g\"]).returncode)'
        $P/checked f over 2> /dev/null; echo $?; cat f g"
    ));
    let wanted = format!("0\n0\n0\n0\n0\n{ends}\n2\n2\n2\n2\n3\n2");
    assert_eq!(o.text(), wanted, "{o:?}");
}

#[test]
fn address_sanitizer() {
    sanitizer("address", 1);
}

#[test]
fn undefined_sanitizer() {
    sanitizer("undefined", 0);
}

#[test]
fn thread_sanitizer() {
    sanitizer("thread", 0);
}
