# title: LMDB
# group: Databases
# does: an environment, a transaction
# needs: python:lmdb
# packages: python3-venv
# pip: lmdb
# version: $PYTHON -c 'import lmdb; print("%d.%d.%d" % lmdb.version())'
# refused: No such device
# note: its lock file is a writable shared mapping, which is refused (LIMITS.md).

work() {
    $PYTHON -c 'import lmdb; e = lmdb.open("d"); t = e.begin(write=True); t.put(b"k", b"v"); t.commit()'
}

check() {
    $PYTHON -c 'import lmdb; print(lmdb.open("d", readonly=True).begin().get(b"k"))'
}
