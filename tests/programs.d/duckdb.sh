# title: DuckDB
# group: Databases
# does: tables, updates, checkpoint, write-ahead log after kill -9, export to Parquet and CSV
# needs: python:duckdb
# packages: python3-venv
# pip: duckdb
# killed: yes
# version: $PYTHON -c 'import duckdb; print(duckdb.__version__)'

work() {
    $PYTHON - <<'PY'
import duckdb, os
db = duckdb.connect("d.duckdb"); db.execute("create table t as select i, hash(i) h, repeat('x', (i % 20)::int) s from range(20000) r(i)")
db.execute("delete from t where i % 3 = 0"); db.execute("update t set s = s || 'y' where i % 5 = 0"); db.execute("checkpoint"); db.execute("create index x on t(i)")
db.execute("copy t to 't.parquet' (format parquet)"); db.execute("copy (select * from t order by i) to 't.csv'"); db.execute("export database 'exported'"); db.close()
if os.fork() == 0:
    db = duckdb.connect("d.duckdb"); db.execute("insert into t values (-1, 0, 'last')"); os.kill(os.getpid(), 9)
os.wait(); db = duckdb.connect("d.duckdb"); db.execute("insert into t values (-2, 0, 'after')"); db.close()
PY
}

check() {
    $PYTHON -c 'import duckdb
db = duckdb.connect("d.duckdb"); q = "select count(*), sum(i), sum(length(s)), bit_xor(h) from "
for t in ["t", "\"t.parquet\"", "\"t.csv\""]: print(db.execute(q + t).fetchall())
print(db.execute("select s from t where i < 0 order by i").fetchall())'; ls exported
}
