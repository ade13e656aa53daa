# title: strace, gdb
# group: Shells around programs
# does: trace and debug a program that works in the directory; the trace lies outside
# needs: strace gdb cc
# packages: strace gdb gcc
# version: strace --version
# limit: 600

work() {
    printf '#include <stdio.h>\n#include <stdlib.h>\nint main(int n, char **v) { char b[99]; for (int i = 0; i < 30; i++) { sprintf(b, "%%s.%%d", v[1], i); FILE *f = fopen(b, "w"); fprintf(f, "%%d\\n", i); fclose(f); if (i %% 3 == 0) remove(b); if (i %% 3 == 1) { char c[99]; sprintf(c, "%%s.r", b); rename(b, c); } } return 0; }\n' > p.c
    cc -g -o p p.c; strace -f -o "$S/trace" ./p s; gdb -nx -batch -ex 'break rename' -ex run -ex 'delete' -ex continue --args ./p g >/dev/null 2>&1
}

check() { ls; cat s.* g.*; }
