# title: Valgrind
# group: Shells around programs
# does: memcheck of a program that works in the directory, as a child of a mirrored shell; the log lies outside
# needs: valgrind cc
# packages: valgrind gcc libc6-dbg
# refused: Too many open files
# note: it lets a program have no more descriptors than the soft limit, which is 4,032 for the children of a shell that has changed the pair; the library needs more and refuses. `mirror run -- valgrind …` from a shell outside works (LIMITS.md).
# version: valgrind --version
# limit: 600

work() {
    printf '#include <stdio.h>\n#include <stdlib.h>\nint main(int n, char **v) { char b[99]; for (int i = 0; i < 30; i++) { sprintf(b, "%%s.%%d", v[1], i); FILE *f = fopen(b, "w"); if (!f) { perror(b); return 1; } fprintf(f, "%%d\\n", i); fclose(f); if (i %% 3 == 0) remove(b); if (i %% 3 == 1) { char c[99]; sprintf(c, "%%s.r", b); rename(b, c); } } return 0; }\n' > p.c
    cc -g -o p p.c; valgrind -q --log-file="$S/val.log" ./p v || { rc=$?; grep -v sigprocmask "$S/val.log" | tail -n 40; exit $rc; }
}

check() { ls; cat v.*; }
