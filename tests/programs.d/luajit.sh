# title: LuaJIT
# group: Languages and their tools
# does: compiled loops that write, calls of libc by the foreign function interface
# needs: luajit
# packages: luajit
# version: luajit -v

work() {
    cat > job.lua <<'LUA'
local ffi = require 'ffi'
ffi.cdef 'int open(const char *, int, ...); long write(int, const void *, unsigned long); int close(int); int rename(const char *, const char *); int mkdir(const char *, int); long syscall(long, ...);'
for n = 1, 8 do local f = assert(io.open('f' .. n, 'w')); for i = 1, 2000 do f:write(n, ' ', i, '\n') end; f:close() end
local C = ffi.C
local f = C.open('raw', 0x41, ffi.cast('int', 420)); for i = 1, 3000 do C.write(f, 'line\n', 5) end; C.close(f)
C.rename('f1', 'moved'); C.mkdir('d', 493); os.rename('f2', 'd/f2'); os.remove('f3'); C.syscall(83, ffi.cast('const char *', 'by-number'), ffi.cast('long', 448))
LUA
    luajit -O3 job.lua; luajit -b job.lua job.raw
}

check() { sha256sum f4 moved d/f2 raw; ls; }
