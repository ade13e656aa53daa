# title: Meson, ccache
# group: Compilers and builds
# does: setup, compile, install; the cache in the directory, hits after a clean build
# needs: meson ninja cc ccache
# packages: meson ninja-build gcc ccache
# version: meson --version
# limit: 600

work() {
    export CCACHE_DIR=$PWD/cache CC='ccache cc'
    mkdir src; printf "project('app', 'c')\nl = static_library('l', 'l.c')\nexecutable('app', 'main.c', link_with: l, install: true)\n" > src/meson.build
    echo 'int l(void) { return 42; }' > src/l.c; printf '#include <stdio.h>\nint l(void); int main(void) { printf("%%d\\n", l()); return 0; }\n' > src/main.c
    meson setup --prefix "$PWD/inst" build src >/dev/null; meson compile -C build >/dev/null; meson compile -C build --clean >/dev/null; meson compile -C build >/dev/null; meson install -C build >/dev/null
}

check() {
    build/app; inst/bin/app; meson introspect --targets build | grep -o '"name": "[a-z]*"' | sort; CCACHE_DIR=$PWD/cache ccache --print-stats | grep -E '^(direct_cache_hit|cache_miss)'
}
