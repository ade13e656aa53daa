# Random copies, holes and truncations of two files in $V, with sources in $S, for tests/copies.rs:
# `copies.py SEED` prints each answer, all positions, and what the files hold.
import ctypes, errno, fcntl, hashlib, os, random, sys

V, S = os.environ["V"], os.environ["S"]
rnd = random.Random(int(sys.argv[1]))
libc = ctypes.CDLL(None, use_errno=True)
os.chdir(V)


def data(n):
    return (bytes(rnd.getrandbits(8) for _ in range(997)) * (n // 997 + 1))[:n]


def put(path, n):
    with open(path, "wb") as f:
        f.write(data(n))


put("f", rnd.randrange(400000)); put("g", rnd.randrange(400000)); put(S + "/src", 500000)
fds = [os.open("f", os.O_RDWR), os.open("g", os.O_WRONLY), os.open("g", os.O_RDONLY), os.open(S + "/src", os.O_RDONLY), os.open("f", os.O_RDWR | os.O_APPEND)]
src = fds[3]
pipe = os.pipe()
for end in pipe:
    fcntl.fcntl(end, fcntl.F_SETFL, os.O_NONBLOCK)
for i in range(300):
    op, a, b, c = rnd.randrange(8), rnd.choice(fds), rnd.choice(fds), rnd.choice(fds)
    n = rnd.choice([0, 1, rnd.randrange(5000), rnd.randrange(70000), rnd.randrange(300000), 4096 * rnd.randrange(40)])
    o, q = (rnd.choice([None, None, 0, 4096 * rnd.randrange(90), rnd.randrange(420000)]) for _ in "oq")
    mode = rnd.choice([0, 1, 3, 3, 16, 17, 8, 32])
    try:
        # What the kernel moves by reference (sendfile, splice) comes from outside: from a file to itself
        # the answer is a matter of page by page.
        if op == 0: k = os.copy_file_range(a, b, n, o, q)
        elif op == 1: k = os.sendfile(b, src, o, n)
        elif op == 2: k = os.splice(pipe[0], b, n or 1, offset_dst=q)
        elif op == 3: k = os.write(pipe[1], data(n))
        elif op == 4: k = os.lseek(c, n, 0)
        elif op == 5: k = errno.errorcode[ctypes.get_errno()] if libc.fallocate(a, mode, ctypes.c_long(o or 0), ctypes.c_long(n)) else 0
        elif op == 6: k = os.splice(src, pipe[1], n or 1, offset_src=o)
        else: k = os.ftruncate(a, n)
    except OSError as e:
        k = errno.errorcode[e.errno]
    places = [os.lseek(x, 0, 1) for x in fds] + [os.fstat(x).st_size for x in fds[:2]]
    print(i, op, fds.index(a), fds.index(b), n, o, q, mode, k, places, *(hashlib.md5(open(x, "rb").read()).hexdigest() for x in "fg"))
