# title: CMake, Ninja
# group: Compilers and builds
# does: configure, build with Ninja and with make, install, CPack
# needs: cmake ninja cc make
# packages: cmake ninja-build gcc make
# version: cmake --version
# limit: 600

work() {
    mkdir src; cat > src/CMakeLists.txt <<'CM'
cmake_minimum_required(VERSION 3.10)
project(app C)
add_library(l STATIC l.c)
add_executable(app main.c)
target_link_libraries(app l)
configure_file(conf.in conf.h)
target_include_directories(app PRIVATE ${CMAKE_BINARY_DIR})
install(TARGETS app DESTINATION bin)
set(CPACK_GENERATOR TGZ)
include(CPack)
CM
    echo 'int l(void) { return 41; }' > src/l.c; echo '#define ONE @ONE@' > src/conf.in; printf '#include <stdio.h>\n#include "conf.h"\nint l(void); int main(void) { printf("%%d\\n", l() + ONE); return 0; }\n' > src/main.c
    cmake -S src -B ninja -G Ninja -DONE=1 >/dev/null; ninja -C ninja --quiet; echo '/* */' >> src/l.c; ninja -C ninja --quiet
    cmake -S src -B make -G 'Unix Makefiles' -DONE=2 >/dev/null; cmake --build make -j 3 >/dev/null; cmake --install make --prefix "$PWD/inst" >/dev/null; (cd ninja && cpack >/dev/null)
}

check() {
    ninja/app; make/app; inst/bin/app; ninja -C ninja -n | tail -1; tar tzf ninja/*.tar.gz | sort
}
