# title: GCC, binutils, make
# group: Compilers and builds
# does: make -j4, ar, ranlib, strip, objcopy, LTO, shared library, precompiled header, ld.bfd and ld.gold
# users: root ordinary
# needs: cc make ar strip objcopy ld.gold
# packages: gcc make binutils
# version: cc --version

work() {
    for i in $(seq 12); do echo "#include \"h.h\"
int f$i(void) { return N + $i; }" > f$i.c; done; echo '#define N 1' > h.h
    { echo '#include <stdio.h>'; for i in $(seq 12); do echo "int f$i(void);"; done; echo 'int main(void) { int s = 0;'; for i in $(seq 12); do echo "s += f$i();"; done; printf '%s\n' 'printf("%d\n", s); return 0; }'; } > main.c
    printf 'O = %s\nall: app static gold lto so\napp: main.o $(O)\n\tcc -o $@ $^\nlib.a: $(O)\n\tar rcs $@ $^\nstatic: main.o lib.a\n\tcc -o $@ main.o lib.a\n\tstrip $@\ngold: main.o $(O)\n\tcc -fuse-ld=gold -o $@ $^\nlto: main.c $(O:.o=.c)\n\tcc -flto -O2 -o $@ $^\nlibso.so: $(O:.o=.c)\n\tcc -shared -fPIC -o $@ $^\nso: main.o libso.so\n\tcc -o $@ main.o -L. -lso -Wl,-rpath,$(CURDIR)\n%%.o: %%.c h.h\n\tcc -g -MMD -c $< -o $@\n-include *.d\n' "$(seq -f f%.0f.o 12 | tr '\n' ' ')" > Makefile
    make -s -j4; touch h.h; make -s -j4; objcopy --only-keep-debug app app.debug; objcopy --strip-debug --add-gnu-debuglink=app.debug app; cc -x c-header h.h -o h.h.gch; ranlib lib.a
}

check() {
    for p in app static gold lto so; do ./$p; done; ar t lib.a; make -q && echo "up to date"; readelf -S app.debug | grep -c debug_info; ls
}
