# Several processes write one SQLite database in WAL mode; one of them is killed. What was acknowledged is printed
# as a number; "check FILE N" looks for it.
import os, signal, sqlite3, sys

def connect(file):
    c = sqlite3.connect(file, timeout=60, isolation_level=None)
    c.execute("pragma synchronous=full")
    return c

if sys.argv[1:2] == ["check"]:
    c = sqlite3.connect(sys.argv[2])
    n = c.execute("select count(*) from t").fetchone()[0]
    good = c.execute("pragma integrity_check").fetchone()[0] == "ok"
    print("ok" if good and n >= int(sys.argv[3]) else f"{n} rows, integrity {good}")
    sys.exit()

file = os.environ["V"] + "/db"
c = connect(file)
assert c.execute("pragma journal_mode=wal").fetchone()[0] == "wal"
c.execute("create table t (who int, n int, text text)")
c.close()
r, w = os.pipe()
kids = []
for who in range(3):
    pid = os.fork()
    if pid == 0:
        os.close(r)
        c = connect(file)
        n = 0
        while n < 60 or who == 0:
            c.execute("insert into t values (?, ?, ?)", (who, n, "x" * 300))
            n += 1
            os.write(w, b"a")
            if n % 25 == 0:
                c.execute("pragma wal_checkpoint")
        c.close()
        os._exit(0)
    kids.append(pid)
os.close(w)
got = 0
killed = False
while True:
    b = os.read(r, 4096)
    if not b:
        break
    got += len(b)
    if got > 60 and not killed:
        os.kill(kids[0], signal.SIGKILL)
        killed = True
for k in kids:
    os.waitpid(k, 0)
print(got)
