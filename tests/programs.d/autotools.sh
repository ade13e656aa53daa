# title: Autoconf, Automake, m4
# group: Compilers and builds
# does: aclocal, autoheader, automake, autoconf, configure, make, install, distcheck's tarball
# needs: autoconf automake aclocal m4 make cc
# packages: autoconf automake m4 make gcc
# version: autoconf --version
# limit: 900

work() {
    printf 'AC_INIT([app],[1.0])\nAC_CONFIG_SRCDIR([main.c])\nAC_CONFIG_HEADERS([config.h])\nAM_INIT_AUTOMAKE([foreign])\nAC_PROG_CC\nAC_CHECK_HEADERS([unistd.h fcntl.h])\nAC_CHECK_FUNCS([pread])\nAC_CONFIG_FILES([Makefile])\nAC_OUTPUT\n' > configure.ac
    printf 'bin_PROGRAMS = app\napp_SOURCES = main.c\n' > Makefile.am; printf '#include "config.h"\n#include <stdio.h>\nint main(void) { puts(PACKAGE_STRING); return 0; }\n' > main.c
    { aclocal && autoheader && automake --add-missing --copy && autoconf; } >/dev/null 2>&1; mkdir build; cd build
    ../configure -q --prefix="$PWD/inst" >/dev/null 2>&1; make -s -j2 >/dev/null 2>&1; make -s install >/dev/null 2>&1; make -s dist >/dev/null 2>&1
}

check() {
    build/app; build/inst/bin/app; tar tzf build/app-1.0.tar.gz | LC_ALL=C sort; grep -c define build/config.h
}
