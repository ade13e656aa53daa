# title: MariaDB, innodb_use_native_aio=0
# group: Databases
# does: install, InnoDB and Aria tables, ALTER, kill -9, recovery
# users: root ordinary
# needs: mariadbd mariadb-install-db mariadb
# packages: mariadb-server mariadb-server-core mariadb-client
# killed: yes
# version: mariadbd --version
# limit: 600

aio='--innodb-use-native-aio=0'
. "$CASES/mariadb.inc"
