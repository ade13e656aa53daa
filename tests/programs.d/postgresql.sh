# title: PostgreSQL
# group: Databases
# does: initdb, pgbench, VACUUM FULL, a tablespace, pg_basebackup, kill -9 of all, recovery, checksums
# users: postgres
# needs: /usr/lib/postgresql/15/bin/initdb
# packages: postgresql-15
# killed: yes
# version: /usr/lib/postgresql/15/bin/postgres --version
# limit: 600

bin=/usr/lib/postgresql/15/bin

prepare() { chmod 700 .; }

start() {
    $bin/pg_ctl -D "$1" -w -t 300 -l "$S/log" -o "-k $S -c listen_addresses='' -c fsync=on" start >/dev/null
}

work() {
    $bin/initdb -k -D data -U postgres --no-locale -E UTF8 >/dev/null; start data; export PGHOST="$S" PGUSER=postgres
    $bin/pgbench -q -i -s 1 postgres 2>/dev/null; $bin/pgbench -c 4 -t 50 postgres >/dev/null 2>&1
    mkdir space; psql -qc "create tablespace t location '$PWD/space'"; psql -qc 'create table u tablespace t as select g, md5(g::text) m from generate_series(1, 20000) g'
    psql -qc 'create index on u (m)' -c 'delete from u where g % 3 = 0' -c 'vacuum full u' -c 'checkpoint'
    psql -qc 'create table v as select * from u' -c 'insert into v select g + 100000, m from u'
    $bin/pg_basebackup -D backup -T "$PWD/space=$PWD/backup-space" -c fast; $bin/pg_verifybackup -q backup
    psql -qc 'create table last as select 1 as one'
    kill -9 $(head -1 data/postmaster.pid) $(psql -Atc "select string_agg(pid::text, ' ') from pg_stat_activity where pid <> pg_backend_pid()")
    sleep 1; until_ok start data; psql -qc 'insert into last values (2)'; $bin/pg_ctl -D data -w stop >/dev/null
}

check() {
    $bin/pg_checksums -c -D data | grep -E 'Bad'; start data; export PGHOST="$S" PGUSER=postgres
    psql -Atc 'select count(*), sum(abalance) = (select sum(bbalance) from pgbench_branches) from pgbench_accounts' -c 'select count(*), md5(string_agg(m, chr(44) order by g)) from v' -c 'select * from last' -c 'select count(*) from pgbench_history'
    pg_dump -U postgres postgres | wc -l; $bin/pg_ctl -D data -w stop >/dev/null
}
