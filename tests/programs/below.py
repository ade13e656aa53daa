# A filter of system calls as service managers and containers have it, then a program below it:
#   below.py allow NAMES… -- PROGRAM…     these alone; everything else is EPERM (systemd's SystemCallFilter=)
#   below.py deny NAMES… -- PROGRAM…      not these (EPERM), and nothing that is newer than the headers (ENOSYS)
import ctypes, errno, os, re, struct, sys

how, rest = sys.argv[1], sys.argv[2:]
names, program = rest[:rest.index("--")], rest[rest.index("--") + 1:]
numbers = {}
for header in ("/usr/include/x86_64-linux-gnu/asm/unistd_64.h", "/usr/include/asm/unistd_64.h"):
    if os.path.exists(header):
        numbers = dict((n, int(v)) for n, v in re.findall(r"#define __NR_(\w+)\s+(\d+)", open(header).read()))
        break
known = [numbers[n] for n in names if n in numbers]
LOAD, EQUAL, ABOVE, RETURN = 0x20, 0x15, 0x25, 0x06
ALLOW, ERRNO = 0x7fff0000, 0x00050000
code = [(LOAD, 0, 0, 0)]
if how == "deny":
    code += [(ABOVE, 0, 1, max(numbers.values())), (RETURN, 0, 0, ERRNO | errno.ENOSYS)]
for n in known:
    code += [(EQUAL, 0, 1, n), (RETURN, 0, 0, ALLOW if how == "allow" else ERRNO | errno.EPERM)]
code.append((RETURN, 0, 0, ERRNO | errno.EPERM if how == "allow" else ALLOW))
raw = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *c) for c in code))
libc = ctypes.CDLL(None, use_errno=True)
fprog = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", len(code), ctypes.addressof(raw)))
if libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, fprog, 0, 0):
    sys.exit("below.py: no filter: " + os.strerror(ctypes.get_errno()))
os.execvp(program[0], program)
