# title: ltrace, gdb with the net's signal passed on
# group: Shells around programs
# does: a program that works in the directory, traced and debugged; what the tools write lies outside
# needs: ltrace gdb cc
# packages: ltrace gdb gcc
# version: ltrace --version
# limit: 600

work() {
    printf '#include <stdio.h>\n#include <stdlib.h>\nint main(int n, char **v) { char b[99]; for (int i = 0; i < 30; i++) { sprintf(b, "%%s.%%d", v[1], i); FILE *f = fopen(b, "w"); fprintf(f, "%%d\\n", i); fclose(f); if (i %% 3 == 0) remove(b); if (i %% 3 == 1) { char c[99]; sprintf(c, "%%s.r", b); rename(b, c); } } return 0; }\n' > p.c
    cc -g -o p p.c; ltrace -f -o "$S/ltrace" ./p l; ./p f
    gdb -nx -batch -ex 'handle SIGSYS nostop noprint pass' -ex 'break rename' -ex run -ex 'delete' -ex continue --args ./p g >/dev/null 2>&1
}

check() { ls; cat l.* f.* g.*; }
