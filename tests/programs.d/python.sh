# title: Python (standard library)
# group: Languages and their tools
# does: shutil, tempfile, zipfile, tarfile, shelve (dbm.dumb), pickle, sqlite3, logging rotation, mailbox, compileall, os.replace, mmap for reading
# users: root ordinary
# needs: /usr/bin/python3
# packages: python3
# version: /usr/bin/python3 --version

work() {
    /usr/bin/python3 - <<'PY'
import compileall, dbm.dumb, logging.handlers, mailbox, mmap, os, pathlib, pickle, shelve, shutil, sqlite3, tarfile, tempfile, zipfile
src = pathlib.Path("src"); src.mkdir()
for i in range(40):
    (src / f"m{i}.py").write_text(f"x = {i}\n")
compileall.compile_dir("src", quiet=1, invalidation_mode=__import__("py_compile").PycInvalidationMode.CHECKED_HASH)
shutil.copytree("src", "copy"); shutil.move("copy/m1.py", "moved.py"); shutil.rmtree("copy/__pycache__")
shutil.make_archive("packed", "gztar", "src"); shutil.unpack_archive("packed.tar.gz", "unpacked")
with zipfile.ZipFile("z.zip", "w") as z:
    for f in sorted(src.glob("*.py")): z.write(f)
with zipfile.ZipFile("z.zip", "a") as z: z.writestr("late", "late")
with tarfile.open("t.tar", "w") as t: t.add("src")
with shelve.Shelf(dbm.dumb.open("shelf", "c")) as s:
    for i in range(50): s[str(i)] = list(range(i))
    del s["7"]; s["8"] = "eight"
with tempfile.NamedTemporaryFile("wb", dir=".", delete=False) as f: pickle.dump({"a": 1}, f)
os.replace(f.name, "pickle"); os.chmod("pickle", 0o644)
db = sqlite3.connect("db"); db.execute("create table t(a)")
for i in range(5):
    with db: db.executemany("insert into t values (?)", [(n,) for n in range(100)])
db.execute("vacuum"); db.close()
log = logging.getLogger(); log.addHandler(logging.handlers.RotatingFileHandler("log", maxBytes=500, backupCount=3))
for i in range(60): log.warning("line %d", i)
box = mailbox.Maildir("mail")
for i in range(5): box.add(f"Subject: {i}\n\nbody\n")
with open("t.tar", "rb") as f, mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ) as m: assert m.find(b"x = 39") > 0
with open("big", "wb") as f:
    f.truncate(1 << 20); f.seek(500); f.write(b"x" * 70000); os.posix_fallocate(f.fileno(), 0, 1 << 21)
fd = os.open("direct", os.O_RDWR | os.O_CREAT, 0o600); os.pwritev(fd, [b"a" * 10, b"b" * 10], 5); os.close(fd)
PY
}

check() {
    /usr/bin/python3 - <<'PY'
import dbm.dumb, mailbox, pickle, shelve, sqlite3, tarfile, zipfile, os
with shelve.Shelf(dbm.dumb.open("shelf", "r")) as s: print(len(s), s["8"], s["49"])
print(pickle.load(open("pickle", "rb")), zipfile.ZipFile("z.zip").testzip(), len(tarfile.open("t.tar").getnames()))
print(sqlite3.connect("db").execute("select count(*), sum(a) from t").fetchone(), sqlite3.connect("db").execute("pragma integrity_check").fetchone())
print(sorted(m["subject"] for m in mailbox.Maildir("mail")), sorted(os.listdir()), os.path.getsize("big"))
PY
    sums src; sums copy; sums unpacked; sha256sum log* big direct moved.py
}
