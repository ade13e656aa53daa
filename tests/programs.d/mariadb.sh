# title: MariaDB
# group: Databases
# does: as Debian configures it (native AIO with io_uring): install, InnoDB and Aria tables, ALTER, kill -9, recovery
# users: root ordinary
# needs: mariadbd mariadb-install-db mariadb
# packages: mariadb-server mariadb-server-core mariadb-client
# also: MIRROR_NET=always
# killed: yes
# version: mariadbd --version
# note: liburing makes its system calls with an instruction of its own: the server's data reach one leg. With the net liburing is refused and the server falls back.
# limit: 600

. "$CASES/mariadb.inc"
