"""fuzz.py DIR SEED STEPS: a long random walk of file-system calls of one process in DIR: relative and
absolute names, dots, symlinks, directory descriptors, /proc names, dup, fork, O_TMPFILE. Whatever a call
answers is fine; what counts is what the trees look like afterwards."""
import ctypes
import errno
import os
import random
import stat
import sys

top, seed, steps = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
libc = ctypes.CDLL(None, use_errno=True)
os.chdir(top)
real = os.path.realpath(top)
rng = random.Random(seed)
os.umask(rng.choice([0o22, 0o77, 0, 0o27]))
files, dirs = {}, {}
NAMES = ["a", "b", "c", "dd", "e e", os.fsdecode(b"\xff\xfe"), "n" * 255, ".hid", "..x"]


def name():
    text = "/".join(rng.choice(NAMES) for _ in range(rng.choice([1, 1, 1, 2, 2, 3])))
    shapes = ["./" + text, rng.choice(NAMES) + "/../" + text, text + "/", text.replace("/", "//"), text + "/."]
    return rng.choice(shapes + [text] * 6)


def path():
    k = rng.randrange(10)
    if k < 2:
        return top + "/" + name()
    if k == 2:
        return real + "/" + name()
    if k == 3:
        return "/proc/self/cwd/" + name()
    if k == 4 and dirs:
        return "/proc/self/fd/%d/%s" % (rng.choice(list(dirs.values())), name())
    return name()


def at():
    return rng.choice(list(dirs.values())) if dirs and rng.random() < 0.3 else None


def some():
    if not files:
        raise LookupError
    return rng.choice(list(files.values()))


def keep(table, fd):
    old = table.get(key := rng.randrange(10))
    if old is not None:
        os.close(old)
    table[key] = fd


def open_file():
    flags = rng.choice([os.O_RDWR, os.O_WRONLY, os.O_RDONLY]) | os.O_NONBLOCK
    flags |= rng.choice([0, os.O_CREAT, os.O_CREAT, os.O_CREAT | os.O_EXCL])
    flags |= rng.choice([0, 0, os.O_TRUNC]) | rng.choice([0, 0, os.O_APPEND]) | rng.choice([0, 0, os.O_NOFOLLOW])
    keep(files, os.open(path(), flags, rng.choice([0o644, 0o600, 0o4755, 0o1777, 0]), dir_fd=at()))


def exchange():
    a, b, flags = path(), path(), rng.choice([1, 2, 2, 3, 8])
    if libc.renameat2(-100, os.fsencode(a), -100, os.fsencode(b), flags):
        raise OSError(ctypes.get_errno(), "renameat2")


def tmpfile():
    fd = os.open(rng.choice([".", path()]), os.O_TMPFILE | os.O_RDWR, 0o640)
    os.write(fd, b"nameless" * rng.randrange(500))
    keep(files, fd)
    if rng.random() < 0.7:
        os.link("/proc/self/fd/%d" % fd, path(), follow_symlinks=True)


def child():
    pid = os.fork()
    if pid == 0:
        try:
            os.write(some(), b"child")
            os.fchmod(some(), 0o611)
            os.mkdir("kid")
        except (OSError, LookupError):
            pass
        os._exit(0)
    os.waitpid(pid, 0)


def walk_away():
    os.chdir(rng.choice([path(), top, top, ".."]))
    if not os.getcwd().startswith(real):
        os.chdir(top)


OPS = [
    (6, open_file),
    (4, lambda: os.write(some(), bytes([rng.randrange(256)]) * rng.choice([1, 10, 500, 5000]))),
    (1, lambda: os.pwrite(some(), b"p" * rng.randrange(3000), rng.randrange(9000))),
    (1, lambda: os.ftruncate(some(), rng.randrange(9000))),
    (1, lambda: os.truncate(path(), rng.randrange(9000))),
    (1, lambda: os.close(files.pop(rng.choice(list(files))))),
    (1, lambda: keep(files, os.dup(some()))),
    (1, lambda: os.dup2(some(), some())),
    (3, lambda: os.mkdir(path(), rng.choice([0o755, 0o700, 0o2777, 0o1777]), dir_fd=at())),
    (2, lambda: os.unlink(path(), dir_fd=at())),
    (1, lambda: os.rmdir(path(), dir_fd=at())),
    (4, lambda: os.rename(path(), path(), src_dir_fd=at(), dst_dir_fd=at())),
    (2, exchange),
    (2, lambda: os.link(path(), path(), src_dir_fd=at(), dst_dir_fd=at(), follow_symlinks=rng.random() < 0.5)),
    (2, lambda: os.symlink(rng.choice([name(), top + "/" + name()]), path(), dir_fd=at())),
    (2, lambda: os.chmod(path(), rng.choice([0o644, 0o755, 0o4711, 0o600]))),
    (1, lambda: os.fchmod(some(), rng.choice([0o644, 0o640]))),
    (1, lambda: os.utime(path(), ns=(5, rng.randrange(10**18)), follow_symlinks=rng.random() < 0.5)),
    (1, lambda: os.setxattr(path(), "user.x", b"v" * rng.randrange(200), follow_symlinks=rng.random() < 0.5)),
    (1, lambda: os.removexattr(path(), "user.x")),
    (1, lambda: os.mkfifo(path(), dir_fd=at())),
    (1, lambda: os.fsync(some())),
    (1, lambda: keep(dirs, os.open(rng.choice([".", path()]), os.O_RDONLY | os.O_DIRECTORY))),
    (1, walk_away),
    (1, lambda: os.fchdir(rng.choice(list(dirs.values())))),
    (1, tmpfile),
    (1, child),
]
table = [op for weight, op in OPS for _ in range(weight)]
for i in range(steps):
    try:
        rng.choice(table)()
    except (OSError, LookupError, ValueError, IndexError):
        pass
    # What a call drew must not decide about the next: the same walk whatever is answered.
    rng = random.Random(seed * 1000003 + i)
