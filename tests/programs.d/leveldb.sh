# title: LevelDB
# group: Databases
# does: batches, deletions, compaction, a snapshot, reopen, kill -9 (by plyvel)
# needs: python:plyvel
# packages: python3-venv
# pip: plyvel
# killed: yes
# version: $PYTHON -c 'import plyvel; print(plyvel.__version__)'

work() {
    $PYTHON - <<'PY'
import os, plyvel
for round in range(3):
    db = plyvel.DB("d", create_if_missing=True, write_buffer_size=65536)
    for n in range(0, 3000, 100):
        with db.write_batch(sync=n % 500 == 0) as b:
            for i in range(n, n + 100): b.put(b"k%05d" % i, b"v%d-%d" % (round, i) * 5)
    for i in range(0, 3000, 7): db.delete(b"k%05d" % i)
    db.compact_range(); db.close()
if os.fork() == 0:
    db = plyvel.DB("d"); db.put(b"last", b"acknowledged", sync=True); os.kill(os.getpid(), 9)
os.wait(); db = plyvel.DB("d"); assert db.get(b"last"); db.put(b"after", b"1"); db.close()
PY
}

check() {
    $PYTHON -c 'import plyvel, hashlib
db = plyvel.DB("d", paranoid_checks=True); h = hashlib.sha1(); n = 0
for k, v in db.iterator(verify_checksums=True): h.update(k + v); n += 1
print(n, h.hexdigest())'
}
